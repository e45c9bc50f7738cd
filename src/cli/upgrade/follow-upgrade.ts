import type { ApiClient } from "../../api/client.ts";
import { OrchdError } from "../../lib/errors.ts";
import { printJson } from "../context.ts";
import type { Io } from "../io.ts";
import { cleanText } from "../output/clean.ts";
import type { UpgradeStatus } from "../../model/upgrade.ts";

/** The server restarts when it is upgraded itself. */
const RECONNECT_MS = 500;

export type UpgradeOutcome = "done" | "failed" | "canceled" | "deferred" | "timedOut" | "detached";

type UpgradeNode = UpgradeStatus["nodes"][number];

export interface FollowUpgrade {
  /** As it began. */
  status: UpgradeStatus;
  timeoutMs: number;
  json: boolean;
  connect: () => Promise<ApiClient>;
}

/**
 * Tells of each node until the upgrade is over, or waits for nothing but nodes that are away. The
 * server may be gone for a while meanwhile.
 */
export async function followUpgrade(
  io: Io,
  options: FollowUpgrade,
): Promise<{ outcome: UpgradeOutcome; status: UpgradeStatus }> {
  const followed = new Followed(io, options);
  const stopListening = io.onInterrupt(() => followed.end("detached"));
  const deadline = io.clock.after(options.timeoutMs, () => followed.end("timedOut"));
  try {
    await followed.run();
  } finally {
    stopListening();
    deadline.cancel();
  }
  return { outcome: followed.outcome ?? "detached", status: followed.status };
}

class Followed {
  readonly #io: Io;
  readonly #options: FollowUpgrade;
  readonly #over = new AbortController();
  /** What was told of each node last. */
  readonly #told = new Map<string, string>();
  status: UpgradeStatus;
  outcome: UpgradeOutcome | undefined;

  constructor(io: Io, options: FollowUpgrade) {
    this.#io = io;
    this.#options = options;
    this.status = options.status;
  }

  /** The first word counts. */
  end(outcome: UpgradeOutcome): void {
    this.outcome ??= outcome;
    this.#over.abort();
  }

  async run(): Promise<void> {
    await this.#hear(this.status);
    while (!this.#over.signal.aborted) {
      await this.#read();
      await this.#pause();
    }
  }

  /** Listens for as long as the server tells. */
  async #read(): Promise<void> {
    const { signal } = this.#over;
    try {
      const client = await this.#options.connect();
      for await (const next of client.upgrade.progress(signal)) {
        // Somebody has begun another one.
        if (next.run !== this.status.run) return this.end("canceled");
        await this.#hear(next);
        if (signal.aborted) return;
      }
    } catch (error) {
      if (!(error instanceof OrchdError) || error.code !== "unreachable") throw error;
    }
  }

  async #hear(status: UpgradeStatus): Promise<void> {
    this.status = status;
    if (this.#options.json) await printJson(this.#io, status);
    else for (const node of status.nodes) await this.#tell(node, status.to);
    const outcome = outcomeOf(status);
    if (outcome !== undefined) this.end(outcome);
  }

  async #tell(node: UpgradeNode, to: string): Promise<void> {
    const line = lineOf(node, to);
    if (line === undefined || this.#told.get(node.id) === line) return;
    this.#told.set(node.id, line);
    await this.#io.stderr.write(`${cleanText(line)}\n`);
  }

  #pause(): Promise<void> {
    const { signal } = this.#over;
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#io.clock.after(RECONNECT_MS, resolve);
      signal.addEventListener("abort", () => (timer.cancel(), resolve()), { once: true });
    });
  }
}

/** What there is to say of an upgrade when there is no more to wait for; else undefined. */
function outcomeOf({ state, nodes }: UpgradeStatus): UpgradeOutcome | undefined {
  if (nodes.some((one) => one.state === "preparing" || one.state === "trying")) return undefined;
  if (state !== "running") return state;
  const isLeft = nodes.every((one) => one.state === "done" || one.state === "away");
  return isLeft ? "deferred" : undefined;
}

function lineOf({ node, state, version, problem }: UpgradeNode, to: string): string | undefined {
  switch (state) {
    case "waiting":
      return problem === undefined ? undefined : `${node}: ${problem}; it is asked again`;
    case "away":
      return `${node}: is away, and gets ${to} when it is back`;
    case "preparing":
      return `${node}: gets ${to}`;
    case "trying":
      return `${node}: tries ${to}`;
    case "done":
      return `${node}: runs ${version}`;
    case "failed":
      return `${node}: does not run ${to}: ${problem ?? "it does not say why"}`;
  }
}
