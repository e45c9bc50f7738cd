import type { ChildProcess } from "node:child_process";
import type { FleetHost } from "../lab/fleet.ts";
import { signalInside, waitUntil } from "../lab/lab.ts";

const BEGIN_TIMEOUT_MS = 10_000;

/** Monitors print a handle where it takes their fancy. */
const RULE = /^add rule ip orchd service_\S+ (?:handle \d+ )?dnat to (.*)$/;

interface Sight {
  /** Milliseconds since 1970. */
  at: number;
  /** The addresses among which a service's connections are spread from then on. */
  addresses: readonly string[];
}

/**
 * What a host's kernel does to the one service that there is, as it tells by itself: to ask it
 * again and again would slow down what is measured.
 */
export class TableWatch {
  readonly #child: ChildProcess;
  #sights: Sight[] = [];
  /** What came of a line that is not whole yet. */
  #rest = "";
  #heard = false;
  #error = "";

  private constructor(host: FleetHost) {
    this.#child = host.lab.spawn(["stdbuf", "-oL", "nft", "monitor"]);
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => this.#take(text));
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#error += text));
  }

  /** Resolves when it hears of what happens: it makes a table of its own until then. */
  static async on(host: FleetHost): Promise<TableWatch> {
    const watch = new TableWatch(host);
    await waitUntil(`${host.name} is watched`, BEGIN_TIMEOUT_MS, async () => {
      await host.lab.run(["nft", "add table ip bench-watch; delete table ip bench-watch"]);
      if (watch.#error !== "") throw new Error(`nft monitor: ${watch.#error}`);
      return watch.#heard;
    });
    return watch;
  }

  /** When the host's table came to lead to the address, or not to; since the last `forget`. */
  seen(address: string, isThere: boolean): number | undefined {
    return this.#sights.find(({ addresses }) => addresses.includes(address) === isThere)?.at;
  }

  /** When it came to lead to an address that is none of those; since the last `forget`. */
  newcomer(known: readonly string[]): number | undefined {
    return this.#sights.find(({ addresses }) => addresses.some((a) => !known.includes(a)))?.at;
  }

  forget(): void {
    this.#sights = [];
  }

  end(): void {
    signalInside(this.#child, "SIGKILL");
  }

  #take(text: string): void {
    const at = Date.now();
    const lines = `${this.#rest}${text}`.split("\n");
    this.#rest = lines.pop() ?? "";
    this.#heard ||= lines.length > 0;
    for (const line of lines) {
      const [, choices] = RULE.exec(line) ?? [];
      if (choices === undefined) continue;
      this.#sights.push({ at, addresses: choices.match(/\d+(?:\.\d+){3}/g) ?? [] });
    }
  }
}
