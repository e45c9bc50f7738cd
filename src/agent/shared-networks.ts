import { OrchdError } from "../lib/errors.ts";
import { sortedBy } from "../lib/order.ts";
import type { Assignment } from "../model/assignment.ts";
import type { TaskId } from "../model/ids.ts";
import type { Containers } from "./containers.ts";

export interface SharedNetworksOptions {
  assignments(): Iterable<Assignment>;
  containers: Pick<Containers, "get">;
}

/**
 * Whose network a task is in that has none of its own (`network_mode: service:NAME`): that of a
 * task of the other service on the same node, for as long as that one's container runs.
 */
export class SharedNetworks {
  readonly #options: SharedNetworksOptions;

  constructor(options: SharedNetworksOptions) {
    this.#options = options;
  }

  /**
   * The running task whose network this one is to be in; undefined for one with its own. Of
   * several it is that of the same slot, or the first.
   * @throws OrchdError `unreachable` (retryable) while none runs, `conflict` when none is to here
   */
  providerOf(assignment: Assignment): TaskId | undefined {
    const { container, stack, slot } = assignment;
    if (container.networkMode !== "service") return undefined;
    const service = `${stack}/${container.networkOf ?? ""}`;
    const all = [...this.#options.assignments()].filter((other) =>
      this.#provides(other, assignment),
    );
    if (all.length === 0) {
      const message = `no task of ${service}, whose network it shares, is on this node`;
      throw new OrchdError("conflict", message);
    }
    const running = sortedBy(
      all.filter(({ taskId }) => this.#runs(taskId)),
      (one) => one.slot,
    );
    const provider = running.find((one) => one.slot === slot) ?? running[0];
    if (provider !== undefined) return provider.taskId;
    const message = `it waits for the task of ${service} whose network it shares`;
    throw new OrchdError("unreachable", message, { retryable: true });
  }

  /** Whether a task was made in the network of one that does not run any more. */
  isCutOff({ taskId }: Assignment): boolean {
    const { networkTask } = this.#options.containers.get(taskId) ?? {};
    return networkTask !== undefined && !this.#runs(networkTask);
  }

  /** The tasks that are, or are to be, in the network of this one. */
  sharersOf(provider: Assignment): TaskId[] {
    const all = [...this.#options.assignments()];
    return all.filter((one) => isSharer(one, provider)).map(({ taskId }) => taskId);
  }

  #provides(provider: Assignment, sharer: Assignment): boolean {
    const isWanted = provider.desired === "running" || provider.desired === "prepared";
    return isWanted && isSharer(sharer, provider);
  }

  #runs(taskId: TaskId): boolean {
    return this.#options.containers.get(taskId)?.state === "running";
  }
}

function isSharer({ container, stack }: Assignment, provider: Assignment): boolean {
  if (container.networkMode !== "service") return false;
  return stack === provider.stack && container.networkOf === provider.service;
}
