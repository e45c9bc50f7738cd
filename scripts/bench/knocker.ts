import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Host } from "../lab/host.ts";
import { waitUntil } from "../lab/lab.ts";
import { bun, root } from "../project.ts";

const READY_TIMEOUT_MS = 10_000;

/** A request that got no answer. */
export interface Failure {
  /** `HOST:PORT` */
  target: string;
  /** When it was asked, in ms since 1970. */
  at: number;
  why: string;
}

/** Clients on a host, which ask for a page again and again: see knock.ts. */
export class Knocker {
  readonly #process: ChildProcess;
  #said = "";
  #targets = "";

  private constructor(process: ChildProcess) {
    this.#process = process;
    for (const stream of [process.stdout, process.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => (this.#said += text));
    }
  }

  /** @param inside the words before the command that have it run elsewhere on the host */
  static async start(host: Host, inside: readonly string[] = []): Promise<Knocker> {
    const script = join(root, "scripts", "bench", "knock.ts");
    const knocker = new Knocker(host.lab.spawn([...inside, bun, script]));
    await waitUntil("the clients are ready", READY_TIMEOUT_MS, () =>
      knocker.#said.startsWith("ready\n"),
    );
    return knocker;
  }

  /** Asks these from now on, each `HOST:PORT`. */
  ask(targets: readonly string[]): void {
    const line = targets.join(" ");
    if (line === this.#targets) return;
    this.#targets = line;
    this.#process.stdin?.write(`${line}\n`);
  }

  /** Ends it. */
  async stop(): Promise<{ asked: number; failures: Failure[] }> {
    const ended = once(this.#process, "close");
    this.#process.stdin?.end();
    await ended;
    const asked = Number(/^asked (\d+)$/m.exec(this.#said)?.[1]);
    if (!Number.isInteger(asked)) throw new Error(`the clients ended early: ${this.#said}`);
    const failures = [...this.#said.matchAll(/^failed (\S+) (\d+) (.*)$/gm)];
    return {
      asked,
      failures: failures.map(([, target = "", at, why = ""]) => ({ target, at: Number(at), why })),
    };
  }
}
