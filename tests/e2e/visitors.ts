import { once } from "node:events";
import { join } from "node:path";
import type { Host } from "../../scripts/lab/host.ts";
import { root } from "../../scripts/project.ts";

/** Visitors of a host's page: see visit.ts. */
export class Visitors {
  readonly #process: ReturnType<Host["lab"]["spawn"]>;
  #said = "";

  constructor(host: Host, url: string, name: string, perSecond: number) {
    const script = join(root, "scripts", "lab", "visit.ts");
    this.#process = host.lab.spawn(["node", "--import", "tsx", script, url, name, `${perSecond}`], {
      workingDir: root,
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => (this.#said += text));
    }
  }

  /** Resolves when they ended by themselves, or with `stop` when they were told to. */
  async end(): Promise<{ asked: number; failed: string[]; certificates: string[] }> {
    await once(this.#process, "close");
    const all = (word: string) =>
      [...this.#said.matchAll(new RegExp(`^${word} (.*)$`, "gm"))].map(([, what = ""]) => what);
    const [asked] = all("asked");
    if (asked === undefined) throw new Error(`the visitors ended early: ${this.#said}`);
    return { asked: Number(asked), failed: all("failed"), certificates: all("certificate") };
  }

  async stop(): ReturnType<Visitors["end"]> {
    const end = this.end();
    this.#process.stdin?.end();
    return end;
  }
}
