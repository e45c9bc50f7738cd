import { existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { NetworkInspection } from "../../src/model/network-summary.ts";
import { HELLO_IMAGE } from "../image.ts";
import { Host } from "../lab/host.ts";
import { waitUntil } from "../lab/lab.ts";
import { median, type Figure } from "./figure.ts";
import { Knocker, type Failure } from "./knocker.ts";

const SERVICES = 20;
const FIRST_PORT = 8100;
const LIMIT_MS = 200;
/** A client asks so often: that much later than its last failure it has its page. */
const TURN_MS = 25;
/** Clients are refused for so long before the task is ready, and ask for so long afterwards. */
const BEFORE_MS = 300;
const AFTER_MS = 1500;
const TOLD_WITHIN_MS = 20_000;
/** What the probe asks: it notes, in a file's time of change, when it first said yes. */
const CHECK = `#!/bin/sh
if [ ! -e /flags/$NAME/ready ]; then printf 'Status: 503 not yet\\r\\n\\r\\n'; exit; fi
[ -e /flags/$NAME/told ] || touch /flags/$NAME/told
printf 'Content-Type: text/plain\\r\\n\\r\\nready\\n'
`;

const PAGE = "mkdir -p /flags/$$NAME; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www";

/** From the first time that a task's probe says that it is ready until clients reach it. */
export async function benchReady(): Promise<Figure[]> {
  const host = await Host.withServer();
  try {
    const names = Array.from({ length: SERVICES }, (_, i) => `s${i}`);
    await host.up(stack(names), "--detach");
    await host.waitFor(
      "all tasks run",
      async () => (await host.running("bench")).length === SERVICES + 1,
    );
    const format = ["--format", "{{.Mountpoint}}", "bench_flags"];
    const flags = join(host.lab.root, await host.podman("volume", "inspect", ...format));
    const clients = await Clients.start(host);
    const toldAt = new Map<string, number>();
    for (const name of names) toldAt.set(name, await makeReady(join(flags, name), clients, name));
    const waits = await clients.stop(toldAt);
    return [
      ...figures("ready until its published port answers", waits.outside),
      ...figures("ready until its virtual address answers", waits.inside),
    ];
  } finally {
    await host.stop();
  }
}

/** Answers when the task said that it is ready, in ms since 1970. */
async function makeReady(directory: string, clients: Clients, name: string): Promise<number> {
  clients.ask(name);
  await pause(BEFORE_MS);
  writeFileSync(join(directory, "ready"), "");
  const told = join(directory, "told");
  await waitUntil(`${name} says that it is ready`, TOLD_WITHIN_MS, () => existsSync(told));
  await pause(AFTER_MS);
  return statSync(told).mtimeMs;
}

/** Clients of one service at a time: on the machine, and in a task of the same stack. */
class Clients {
  readonly #outside: Knocker;
  readonly #inside: Knocker;
  readonly #virtualIps: ReadonlyMap<string, string>;

  private constructor(outside: Knocker, inside: Knocker, virtualIps: ReadonlyMap<string, string>) {
    this.#outside = outside;
    this.#inside = inside;
    this.#virtualIps = virtualIps;
  }

  static async start(host: Host): Promise<Clients> {
    const client = ["ps", "--quiet", "--filter", "label=orchd.service=client"];
    const id = await host.podman(...client);
    const pid = await host.podman("inspect", "--format", "{{.State.Pid}}", id);
    const networks = await host.json<NetworkInspection[]>("network", "inspect", "bench_default");
    const members = networks.flatMap((network) => network.members);
    const virtualIps = members.map(({ service, virtualIp = "" }) => [service, virtualIp] as const);
    return new Clients(
      await Knocker.start(host),
      await Knocker.start(host, ["nsenter", "-t", pid, "-n"]),
      new Map(virtualIps),
    );
  }

  ask(name: string): void {
    this.#outside.ask([this.#targets(name).outside]);
    this.#inside.ask([this.#targets(name).inside]);
  }

  /** Ends them; answers how long they still had no page of each service once it was ready. */
  async stop(
    toldAt: ReadonlyMap<string, number>,
  ): Promise<{ outside: number[]; inside: number[] }> {
    const [outside, inside] = [await this.#outside.stop(), await this.#inside.stop()];
    const all = [...toldAt];
    return {
      outside: all.map(([name, at]) => waited(outside.failures, this.#targets(name).outside, at)),
      inside: all.map(([name, at]) => waited(inside.failures, this.#targets(name).inside, at)),
    };
  }

  #targets(name: string): { outside: string; inside: string } {
    const outside = `127.0.0.1:${FIRST_PORT + Number(name.slice(1))}`;
    return { outside, inside: `${this.#virtualIps.get(name)}:8080` };
  }
}

/**
 * The longest that it can have been. The node refuses; who waits in vain does so for a task that is
 * slow.
 */
function waited(failures: readonly Failure[], target: string, readyAt: number): number {
  const refused = failures.filter((one) => one.target === target && one.why.includes("ECONN"));
  const times = refused.map(({ at }) => at);
  if (times.length === 0) throw new Error(`${target} answered before its task was ready`);
  return Math.max(0, Math.max(...times) + TURN_MS - readyAt);
}

function stack(names: readonly string[]): string {
  const services = names.map(
    (name, i) => `  ${name}:
    image: ${HELLO_IMAGE}
    pull_policy: never
    environment: { NAME: ${name} }
    command: [sh, -c, "${PAGE}"]
    ports: ["${FIRST_PORT + i}:8080"]
    volumes: ["flags:/flags"]
    configs: [{ source: check, target: /www/cgi-bin/check, mode: 0555 }]
    stop_grace_period: 0s
    x-orchd:
      probes: { ready: { http: { path: /cgi-bin/check, port: 8080 }, interval: 1s, retries: 1 } }
`,
  );
  return `name: bench
services:
  client:
    image: ${HELLO_IMAGE}
    pull_policy: never
    command: [sleep, "1000000"]
    stop_grace_period: 0s
${services.join("")}volumes: { flags: {} }
configs:
  check:
    content: |
${CHECK.trimEnd().replaceAll("$", "$$$$").replaceAll(/^/gm, "      ")}
`;
}

function figures(what: string, samples: number[]): Figure[] {
  const common = { unit: "ms", limit: LIMIT_MS, samples };
  return [
    { what: `${what}, median of ${samples.length}`, value: median(samples), ...common },
    { what: `${what}, worst`, value: Math.max(...samples), ...common },
  ];
}
