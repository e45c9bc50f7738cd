import type { Place, Slot, SlotContent, Slots, TrialOutcome } from "../../model/slots.ts";
import { REASON_LENGTH_MAX, TRIAL_ATTEMPTS_MAX } from "../../model/slots.ts";

/** What is so when an executable starts. */
export interface LaunchFacts {
  /** Where the executable is that starts; `other` is one that people put there meanwhile. */
  self: Place | "other";
  /** Which slots have what the state says, as far as a look tells. */
  whole: ReadonlySet<Place>;
  /** The trial that this process is, as the one says that began it. */
  trial?: string | undefined;
}

/** What an executable that starts does first. */
export type Launch =
  | { type: "run" }
  | { type: "become"; place: Place }
  /** Run what is in the slot as a child, and see whether it comes back to membership. */
  | { type: "try"; slot: Slot };

/**
 * Which executable is to run. What people put in the place of the installed one counts more than
 * all slots. What is spoilt is never run: then what ran before it is, at last the installed one.
 * @returns what to do, with the state to be saved before it
 */
export function planLaunch(slots: Slots, facts: LaunchFacts): { slots: Slots; launch: Launch } {
  const { self, whole } = facts;
  const { trial } = slots;
  if (self === "other") return { slots, launch: { type: "run" } };
  if (trial !== undefined) {
    const isTheTrial = facts.trial === trial.id && self === trial.slot;
    if (isTheTrial) return { slots, launch: { type: "run" } };
    if (!whole.has(trial.slot)) {
      return planLaunch(endTrial(slots, "reverted", "its executable is spoilt"), facts);
    }
    if (trial.attempts >= TRIAL_ATTEMPTS_MAX) {
      const reason = `the machine ended ${trial.attempts} times while it was tried`;
      return planLaunch(endTrial(slots, "reverted", reason), facts);
    }
    const begun = { ...slots, trial: { ...trial, attempts: trial.attempts + 1 } };
    return { slots: begun, launch: { type: "try", slot: trial.slot } };
  }
  const wanted = [slots.active, slots.former].find((place) => whole.has(place)) ?? "installed";
  return { slots, launch: wanted === self ? { type: "run" } : { type: "become", place: wanted } };
}

/** The slot for a new executable: the one that is not in use. */
export function slotFor({ active, former }: Pick<Slots, "active" | "former">): Slot {
  if (active !== "installed") return active === "a" ? "b" : "a";
  return former === "a" ? "b" : "a";
}

/** Has the executable in a slot tried at the next start. */
export function beginTrial(
  slots: Slots,
  order: { id: string; slot: Slot; withinMs: number; content: SlotContent },
): Slots {
  const { id, slot, withinMs, content } = order;
  return { ...slots, [slot]: content, trial: { id, slot, withinMs, attempts: 0 } };
}

/** What was tried is what runs from now on, or is given up. */
export function endTrial(
  { trial, ...slots }: Slots,
  outcome: TrialOutcome["outcome"],
  reason?: string,
): Slots {
  if (trial === undefined) return slots;
  const told = reason === undefined ? {} : { reason: reason.slice(0, REASON_LENGTH_MAX) };
  const last = { id: trial.id, outcome, ...told };
  if (outcome === "reverted") return { ...slots, last };
  return { ...slots, active: trial.slot, former: slots.active, last };
}
