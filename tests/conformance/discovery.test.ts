import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { bun } from "../../scripts/project.ts";
import { runHere } from "../../scripts/lab/lab.ts";
import { until } from "./runtime-until.ts";

const PROGRAM = join(import.meta.dir, "discovery-process.ts");
const TOLD = "192.0.2.7:6770";
const isRoot = process.getuid?.() === 0;
if (!isRoot) console.error("\n*** SKIPPED: discovery on a network: only root makes networks.\n");

/** A machine: a network namespace that lasts as long as its first process. */
class Machine {
  readonly #keeper: ChildProcess;

  private constructor(keeper: ChildProcess) {
    this.#keeper = keeper;
  }

  static async start(): Promise<Machine> {
    const keeper = spawn("unshare", ["--net", "sh", "-c", "ip link set lo up; echo up; read _"]);
    await new Promise((resolve) => keeper.stdout.once("data", resolve));
    return new Machine(keeper);
  }

  get pid(): string {
    return String(this.#keeper.pid);
  }

  async run(...command: string[]): Promise<void> {
    await runHere(this.#enter(command));
  }

  /** A new link carries nothing for its first moments. */
  async isUp(interfaceName: string): Promise<boolean> {
    const show = this.#enter(["ip", "-o", "link", "show", interfaceName]);
    return (await Bun.spawn(show).stdout.text()).includes("state UP");
  }

  async setAddress(interfaceName: string, address: string): Promise<void> {
    await this.run("ip", "addr", "add", `${address}/24`, "dev", interfaceName);
    await this.run("ip", "link", "set", interfaceName, "up");
  }

  spawn(...words: string[]): ChildProcess {
    const [program = "", ...args] = this.#enter([bun, PROGRAM, ...words]);
    return spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  }

  async search(): Promise<string[]> {
    const child = this.spawn("search");
    let said = "";
    child.stdout?.on("data", (piece: Buffer) => (said += piece.toString()));
    await new Promise((resolve) => child.once("close", resolve));
    return JSON.parse(said) as string[];
  }

  stop(): void {
    this.#keeper.stdin?.end();
  }

  #enter(command: string[]): string[] {
    return ["nsenter", "-t", this.pid, "-n", "--", ...command];
  }
}

async function connectMachines(a: Machine, b: Machine): Promise<void> {
  const peer = ["peer", "name", "lan", "netns", b.pid];
  await runHere(["ip", "link", "add", "lan", "netns", a.pid, "type", "veth", ...peer]);
  await a.setAddress("lan", "10.1.0.1");
  await b.setAddress("lan", "10.1.0.2");
  await until("the link to be up", async () => (await a.isUp("lan")) && b.isUp("lan"));
}

describe.skipIf(!isRoot)("on a network, a machine that looks for its cluster", () => {
  let here: Machine;
  let server: Machine;
  let responder: ChildProcess;

  beforeEach(async () => {
    here = await Machine.start();
    server = await Machine.start();
    await connectMachines(here, server);
    responder = server.spawn("answer", TOLD);
    await new Promise((resolve) => responder.stdout?.once("data", resolve));
  });
  afterEach(() => {
    responder.kill("SIGKILL");
    here.stop();
    server.stop();
  });

  test("finds its server, where its answer came from and where it says that it is", async () => {
    expect(await here.search()).toEqual(["10.1.0.2:6770", TOLD]);
  });

  test("looks through each of its interfaces, not through the last one alone", async () => {
    await here.run("ip", "link", "add", "other", "type", "veth", "peer", "name", "nowhere");
    await here.run("ip", "link", "set", "nowhere", "up");
    await here.setAddress("other", "10.2.0.1");
    expect(await here.search()).toEqual(["10.1.0.2:6770", TOLD]);
  });

  test("finds a server whose interface went and came back with its address", async () => {
    await here.run("ip", "link", "del", "lan");
    await connectMachines(here, server);
    await until("the server to be found", async () => (await here.search()).length > 0);
  });

  test("does not end a server by asking from port 0, where no answer can go", async () => {
    await here.run("nft", "add table ip forge");
    await here.run("nft", "add chain ip forge out { type filter hook output priority 0; }");
    await here.run("nft", "add rule ip forge out udp dport 6770 udp sport set 0");
    expect(await here.search()).toEqual([]);
    await here.run("nft", "delete table ip forge");
    expect(responder.exitCode).toBeNull();
    expect(await here.search()).toEqual(["10.1.0.2:6770", TOLD]);
  });
});
