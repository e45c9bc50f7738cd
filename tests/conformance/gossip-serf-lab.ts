import { spawn, type ChildProcess } from "node:child_process";
import { randomInt } from "node:crypto";
import type { Member } from "../../src/core/gossip/member.ts";
import type { Address } from "../../src/core/gossip/messages.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLog } from "../../src/lib/log.ts";
import { systemRandom } from "../../src/lib/random.ts";
import {
  startMember,
  type GossipMember,
  type GossipMemberOptions,
} from "../../src/net/gossip/gossip-member.ts";
import { Keyring } from "../../src/net/gossip/keyring.ts";
import { GOSSIP_PORT } from "../../src/net/gossip/transport.ts";
import { until } from "./runtime-until.ts";
import { skipSuite } from "./skip-suite.ts";

const RPC_PORT = 7373;
/** serf gives up a member after some 4 s; a loaded machine takes its time. */
const DEADLINE_MS = 40_000;

/**
 * Whether suites against a real serf can run here. Where they can't it registers a skipped test
 * that says why, and prints it.
 */
export function hasSerf(suite: string): boolean {
  if (Bun.which("serf") !== null) return true;
  const reason = "serf is not installed (apt install serf)";
  return skipSuite(suite, reason);
}

export interface LabOptions {
  key?: Uint8Array;
  compress: boolean;
}

/** One member as `serf members` tells it. */
export interface SerfView {
  name: string;
  addr: string;
  status: string;
  tags: Record<string, string>;
  protocol: { min: number; max: number; version: number };
}

/** Members of both kinds on loopback addresses of their own, which nobody else uses. */
export class SerfLab {
  readonly #options: LabOptions;
  readonly #network = `127.${randomInt(20, 250)}.${randomInt(1, 255)}`;
  readonly #serfs: Serf[] = [];
  readonly #members: GossipMember[] = [];
  #hosts = 0;

  constructor(options: LabOptions) {
    this.#options = options;
  }

  async orchd(name: string, options: Partial<GossipMemberOptions> = {}): Promise<GossipMember> {
    const { key, compress } = this.#options;
    const member = await startMember({
      name,
      tags: { kind: "orchd" },
      bind: this.address(),
      compress,
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      onChange: () => {},
      ...(key === undefined ? {} : { keyring: new Keyring(key) }),
      ...options,
    });
    this.#members.push(member);
    return member;
  }

  async serf(
    name: string,
    join: readonly Address[] = [],
    more: readonly string[] = [],
  ): Promise<Serf> {
    const { host } = this.address();
    const { key, compress } = this.#options;
    const serf = new Serf(name, host, [
      ...(key === undefined ? [] : [`-encrypt=${Buffer.from(key).toString("base64")}`]),
      ...(compress ? [] : ["-disable-compression"]),
      ...join.map((to) => `-join=${to.host}:${to.port}`),
      ...more,
    ]);
    this.#serfs.push(serf);
    await serf.started();
    return serf;
  }

  /** A new address of this lab. */
  address(): Address {
    this.#hosts += 1;
    return { host: `${this.#network}.${this.#hosts}`, port: GOSSIP_PORT };
  }

  close(): void {
    for (const member of this.#members) member.close();
    for (const serf of this.#serfs) serf.kill();
  }
}

/** A real `serf agent`. */
export class Serf {
  readonly name: string;
  readonly at: Address;
  readonly #process: ChildProcess;
  #log = "";

  constructor(name: string, host: string, options: readonly string[]) {
    this.name = name;
    this.at = { host, port: GOSSIP_PORT };
    const agent = [
      "agent",
      `-node=${name}`,
      `-bind=${host}:${GOSSIP_PORT}`,
      `-rpc-addr=${host}:${RPC_PORT}`,
      "-profile=lan",
      "-log-level=debug",
      "-tag=kind=serf",
    ];
    this.#process = spawn("serf", [...agent, ...options], { stdio: ["ignore", "pipe", "pipe"] });
    const keep = (chunk: Buffer) => (this.#log += chunk.toString());
    this.#process.stdout?.on("data", keep);
    this.#process.stderr?.on("data", keep);
  }

  get log(): string {
    return this.#log;
  }

  /** Its log's lines that say that something from a member made no sense to it. */
  get complaints(): string[] {
    const pattern = /\[ERR\] (serf|memberlist)|unknown type|invalid checksum|not supported/;
    return this.#log.split("\n").filter((line) => pattern.test(line));
  }

  async started(): Promise<void> {
    await until(`serf ${this.name} to answer`, async () => {
      if (this.#process.exitCode !== null) throw new Error(`serf ended: ${this.#log}`);
      return (await this.members().catch(() => [])).length > 0;
    });
  }

  async members(): Promise<SerfView[]> {
    const { members } = JSON.parse(await this.run("members", "-format=json")) as {
      members: SerfView[];
    };
    return members;
  }

  /** Runs one of serf's own commands on it. */
  async run(command: string, ...args: string[]): Promise<string> {
    const rpc = `-rpc-addr=${this.at.host}:${RPC_PORT}`;
    const child = Bun.spawn(["serf", command, rpc, ...args], { stdout: "pipe", stderr: "pipe" });
    const said = Promise.all([child.stdout.text(), child.stderr.text()]);
    const [[output, errors], code] = await Promise.all([said, child.exited]);
    if (code !== 0) throw new Error(`serf ${command} failed: ${output}${errors}`);
    return output;
  }

  /** What a power cut does to it. */
  kill(): void {
    this.#process.kill("SIGKILL");
  }
}

/** Waits until this is what the serf says of that member. */
export async function serfSees(serf: Serf, name: string, status: string): Promise<SerfView> {
  const what = `${serf.name} to see ${name} as ${status}`;
  return until(
    what,
    async () => {
      const member = (await serf.members()).find((one) => one.name === name);
      return member?.status === status ? member : undefined;
    },
    DEADLINE_MS,
  );
}

/** Waits until this is what the orchd member says of that member. */
export function orchdSees(
  member: GossipMember,
  name: string,
  state: Member["state"],
): Promise<Member> {
  const what = `${member.name} to see ${name} as ${state}`;
  return until(
    what,
    () => {
      const seen = member.member(name);
      return seen?.state === state ? seen : undefined;
    },
    DEADLINE_MS,
  );
}
