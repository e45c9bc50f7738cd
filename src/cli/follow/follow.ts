import { OrchdError } from "../../lib/errors.ts";
import type { Progress, ServiceSummary } from "../../model/summary.ts";
import type { Io } from "../io.ts";
import { isHeldUp, isWaiting } from "./held-up.ts";
import type { Goal } from "./progress-state.ts";
import { progressView } from "./progress-view.ts";

/** What to follow, and until when. */
export interface FollowOptions {
  /** For people: `stack shop`. */
  title: string;
  goal: Goal;
  open(signal: AbortSignal): AsyncIterable<Progress>;
  timeoutMs: number;
  json: boolean;
  /** Services, as `shop/web`, whose rollout began with what is followed: an older one is known. */
  fresh?: ReadonlySet<string>;
  /** Why the service can't converge; asked once after each of its failures. */
  stuckReason?(service: ServiceSummary): Promise<string | undefined>;
}

export type Outcome =
  | { type: "done"; services: ServiceSummary[] }
  /** All that is left waits for a person, or for a time. */
  | { type: "waiting"; service: ServiceSummary; reason: string }
  | { type: "stuck"; service: ServiceSummary; reason: string }
  /** Someone removed it meanwhile. */
  | { type: "gone" }
  | { type: "timedOut" }
  | { type: "detached" };

/** A service that had failed counts as converged once it has been so for this long. */
const SETTLE_MS = 5000;

/** Shows how far it is until it is done, can't get done, or the person has seen enough. */
export async function follow(io: Io, options: FollowOptions): Promise<Outcome> {
  const abort = new AbortController();
  const judge = new Judge(options);
  let outcome: Outcome | undefined;
  const end = (next: Outcome) => {
    outcome ??= next;
    abort.abort();
  };
  const stopListening = io.onInterrupt(() => end({ type: "detached" }));
  const deadline = io.clock.after(options.timeoutMs, () => end({ type: "timedOut" }));
  let settling: { cancel(): void } | undefined;
  const view = progressView(io, options.goal, options.json);
  try {
    for await (const progress of options.open(abort.signal)) {
      await view.show(progress);
      const verdict = await judge.of(progress);
      settling?.cancel();
      if (verdict?.type === "done" && hasFailed(progress)) {
        settling = io.clock.after(SETTLE_MS, () => end(verdict));
      } else if (verdict !== undefined) end(verdict);
      if (outcome !== undefined) break;
    }
  } catch (error) {
    // What is being removed can be gone before anyone looks.
    const isGone = error instanceof OrchdError && error.code === "notFound";
    if (!isGone || options.goal !== "removed") throw error;
    end({ type: "done", services: [] });
  } finally {
    stopListening();
    deadline.cancel();
    settling?.cancel();
    abort.abort();
    await view.end();
  }
  if (outcome !== undefined) return outcome;
  throw new OrchdError(
    "unreachable",
    `the orchd server stopped telling how far ${options.title} is: ` +
      "see that it runs; what it was asked for stays asked for",
  );
}

function hasFailed(progress: Progress): boolean {
  return progress.services.some((service) => service.failures > 0);
}

/** Tells from the progress when the following is over. */
class Judge {
  readonly #options: FollowOptions;
  /** Failures of each service when it was last asked about. */
  readonly #asked = new Map<string, number>();
  /** Services whose rollout was seen under way. */
  readonly #underWay = new Set<string>();

  constructor(options: FollowOptions) {
    this.#options = options;
  }

  async of(progress: Progress): Promise<Outcome | undefined> {
    const { goal } = this.#options;
    if (progress.removed) {
      return goal === "removed" ? { type: "done", services: [] } : { type: "gone" };
    }
    if (goal === "removed") return undefined;
    const held = progress.services.find((service) => this.#isNews(service) && isHeldUp(service));
    if (held !== undefined) {
      return { type: "stuck", service: held, reason: held.rollout?.message ?? "" };
    }
    if (progress.converged) return { type: "done", services: progress.services };
    const open = progress.services.filter((service) => !service.converged);
    const [waiting] = open;
    if (waiting !== undefined && open.every(isWaiting)) {
      return { type: "waiting", service: waiting, reason: waiting.rollout?.message ?? "" };
    }
    for (const service of progress.services) {
      const reason = await this.#stuckReason(service);
      if (reason !== undefined) return { type: "stuck", service, reason };
    }
    return undefined;
  }

  /** Whether its rollout was under way since the following began, or right before. */
  #isNews(service: ServiceSummary): boolean {
    const { rollout, stack, name } = service;
    if (rollout === undefined) return false;
    if (this.#options.fresh?.has(`${stack}/${name}`) === true) return true;
    const isOver = rollout.state === "completed" || rollout.state === "rolled-back";
    if (!isOver) this.#underWay.add(service.id);
    return this.#underWay.has(service.id);
  }

  async #stuckReason(service: ServiceSummary): Promise<string | undefined> {
    const [run] = service.job?.runs ?? [];
    if (!service.converged && run?.result === "failed") return run.message;
    if (service.converged || service.failures === 0) return undefined;
    if (this.#asked.get(service.id) === service.failures) return undefined;
    this.#asked.set(service.id, service.failures);
    return this.#options.stuckReason?.(service);
  }
}
