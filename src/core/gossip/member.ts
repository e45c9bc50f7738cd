import type { PushedMember } from "./messages.ts";

/**
 * What this process knows of one member. Never changed in place: a change is a new value, so it can
 * be kept and compared, and many members in one process share it.
 */
export interface Member extends Readonly<PushedMember> {
  /** When it came into its state, in time as this process counts it (stalls left out). */
  readonly since: number;
}

/** Whether the cluster counts on the member: alive, or suspect and not yet given up. */
export function isLive(member: Member): boolean {
  return member.state === "alive" || member.state === "suspect";
}
