import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bun, root } from "../project.ts";
import { hasEnded, PARENT, PREFIX, runHere, waitUntil } from "./lab.ts";
import { removeStaleLabs } from "./leftovers.ts";

const READY_TIMEOUT_MS = 10_000;
/** Two ranges, so that a whole site can move from one to the other. */
const RANGES = ["10.99.0", "10.98.0"] as const;

/**
 * What connects the hosts of a lab: a bridge in a network namespace of its own. Its ports are where
 * links are cut, slowed down and made to lose packets; nothing leads out of it.
 */
export class Switch {
  readonly #dir: string;
  readonly #keeper: ChildProcess;
  /** The cables of ports that were given a delay: see delay-line.ts. */
  readonly #lines = new Map<number, ChildProcess>();
  readonly #limited = new Set<number>();

  private constructor(dir: string, keeper: ChildProcess) {
    this.#dir = dir;
    this.#keeper = keeper;
  }

  static async start(): Promise<Switch> {
    removeStaleLabs(PARENT, PREFIX);
    const dir = mkdtempSync(join(PARENT, PREFIX));
    writeFileSync(join(dir, "owner"), String(process.pid));
    const ready = join(dir, "ready");
    const script = join(root, "scripts", "lab", "switch.sh");
    const keeper = spawn("unshare", ["--net", "sh", script, ready], {
      stdio: ["pipe", "inherit", "inherit"],
    });
    await waitUntil("the switch is ready", READY_TIMEOUT_MS, () => existsSync(ready));
    return new Switch(dir, keeper);
  }

  async stop(): Promise<void> {
    for (const line of this.#lines.values()) line.stdin?.end();
    this.#keeper.stdin?.end();
    await waitUntil("the switch has ended", READY_TIMEOUT_MS, () => hasEnded(this.#keeper));
    rmSync(this.#dir, { recursive: true, force: true });
  }

  /** Plugs a host in: its first process is `pid`. */
  async plugIn(port: number, pid: number): Promise<void> {
    const mine = `${this.#keeper.pid ?? 0}`;
    // The cable of an earlier life goes some time after its host.
    await this.#run("sh", "-c", `ip link del ${this.#wire(port)} 2>/dev/null || true`);
    // A network card keeps its address when the power goes, and so must this one.
    const mac = `02:00:00:00:00:${port.toString(16).padStart(2, "0")}`;
    const peer = ["peer", "name", "eth0", "address", mac, "netns", `${pid}`];
    await runHere(["ip", "link", "add", this.#wire(port), "netns", mine, "type", "veth", ...peer]);
    const bridge = this.#lines.has(port) ? `l${port}` : "br0";
    await this.#run("ip", "link", "set", this.#wire(port), "master", bridge, "up");
  }

  /** The end of the host's cable. */
  #wire(port: number): string {
    return this.#lines.has(port) ? `w${port}` : `p${port}`;
  }

  /** Gives the host at a port its address in one of the two ranges; answers it. */
  async address(port: number, pid: number, range: 0 | 1 = 0): Promise<string> {
    const net = RANGES[range];
    const script =
      `ip addr flush dev eth0 && ip addr add ${net}.${port}/24 dev eth0 && ` +
      `ip link set eth0 up && ip route replace default via ${net}.254`;
    await runHere(["nsenter", "-t", `${pid}`, "-n", "--", "sh", "-c", script]);
    return `${net}.${port}`;
  }

  /** Cuts the link of a port, or mends it. */
  async setLink(port: number, isUp: boolean): Promise<void> {
    await this.#run("ip", "link", "set", `p${port}`, isUp ? "up" : "down");
  }

  /** Drops every packet between two ports; the other ports reach both. */
  async cutBetween(a: number, b: number): Promise<void> {
    await this.cutOneWay(a, b);
    await this.cutOneWay(b, a);
  }

  /** Drops what one port sends to another, and nothing that comes back. */
  async cutOneWay(from: number, to: number): Promise<void> {
    await this.#nft(`add rule bridge faults forward iifname p${from} oifname p${to} drop`);
  }

  /** Loses so many of a hundred packets that leave or reach the port; below 100. */
  async lose(port: number, percent: number): Promise<void> {
    const lost = `numgen random mod 100 < ${percent} drop`;
    for (const end of ["iifname", "oifname"]) {
      await this.#nft(`add rule bridge faults forward ${end} p${port} ${lost}`);
    }
  }

  /** Makes each packet to and from the port so much later. */
  async delay(port: number, ms: number): Promise<void> {
    if (!Number.isFinite(ms) || ms < 0) throw new Error("a delay is a number of milliseconds");
    const line = this.#lines.get(port) ?? (await this.#layLine(port));
    line.stdin?.write(`${ms}\n`);
  }

  /** Puts a cable with a length before the switch; the link of the host is down a moment. */
  async #layLine(port: number): Promise<ChildProcess> {
    const [end, wire, near, bridge] = [`p${port}`, `w${port}`, `n${port}`, `l${port}`];
    await this.#run("sh", "-c", `ip link set ${end} down && ip link set ${end} name ${wire}`);
    const script = join(root, "scripts", "lab", "delay-line.ts");
    const words = ["-t", `${this.#keeper.pid ?? 0}`, "-n", "--", bun, script, near, end];
    const line = spawn("nsenter", words, { stdio: ["pipe", "pipe", "inherit"] });
    let said = "";
    line.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
    await waitUntil("the cable is laid", READY_TIMEOUT_MS, () => {
      if (hasEnded(line)) throw new Error("the cable has ended");
      return said.includes("ready");
    });
    this.#lines.set(port, line);
    const up = [near, wire].map((name) => `ip link set ${name} master ${bridge} up`);
    const add = `ip link add name ${bridge} up type bridge mcast_snooping 0`;
    const connect = `ip link set ${end} master br0 up`;
    await this.#run("sh", "-c", [add, ...up, connect].join(" && "));
    return line;
  }

  /** Bytes of IPv4 packets that one port has sent to another, whatever became of them. */
  async bytesSent(from: number, to: number): Promise<number> {
    const text = await this.#run("nft", "list", "set", "bridge", "traffic", "pairs");
    const pair = `"p${from}" . "p${to}" counter packets \\d+ bytes (\\d+)`;
    return Number(new RegExp(pair).exec(text)?.[1] ?? 0);
  }

  /**
   * Listens at a port: writes everything that passes there to a file, in whole packets. Answers how
   * to end it.
   */
  async listen(port: number, file: string): Promise<() => Promise<void>> {
    const words = ["-t", `${this.#keeper.pid ?? 0}`, "-n", "--", "tcpdump", "-i", this.#wire(port)];
    const how = ["-s", "0", "-U", "--immediate-mode", "-Z", "root", "-w", file];
    const listener = spawn("nsenter", [...words, ...how], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    listener.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    await waitUntil("tcpdump listens", READY_TIMEOUT_MS, () => {
      if (hasEnded(listener)) throw new Error(`tcpdump has ended: ${said}`);
      return said.includes("listening on");
    });
    return async () => {
      listener.kill("SIGINT");
      await waitUntil("tcpdump has ended", READY_TIMEOUT_MS, () => hasEnded(listener));
    };
  }

  /** Lets so many kilobits a second through to the port. */
  async limit(port: number, kilobits: number): Promise<void> {
    const bucket = ["burst", "16kb", "latency", "400ms"];
    const rate = ["tbf", "rate", `${kilobits}kbit`, ...bucket];
    await this.#run("tc", "qdisc", "replace", "dev", `p${port}`, "root", ...rate);
    this.#limited.add(port);
  }

  /** Mends everything but links that were cut. */
  async mend(): Promise<void> {
    await this.#nft("flush chain bridge faults forward");
    for (const line of this.#lines.values()) line.stdin?.write("0\n");
    for (const port of this.#limited) {
      await this.#run("sh", "-c", `tc qdisc del dev p${port} root 2> /dev/null || true`);
    }
    this.#limited.clear();
  }

  async #nft(command: string): Promise<void> {
    await this.#run("nft", ...command.split(" "));
  }

  async #run(...command: string[]): Promise<string> {
    return runHere(["nsenter", "-t", `${this.#keeper.pid ?? 0}`, "-n", "--", ...command]);
  }
}
