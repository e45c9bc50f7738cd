import { readdirSync } from "node:fs";
import { z } from "zod";
import { address6Of, subnet6Of } from "../../core/network/address6.ts";
import { messageOf, OrchdError, systemCodeOf } from "../../lib/errors.ts";
import type { NodeId, TaskId } from "../../model/ids.ts";
import type { BridgeNetwork } from "../driver.ts";
import { linkAddressOf } from "../podman/link-address.ts";

const TIMEOUT_MS = 10_000;

const linkSchema = z.array(
  z.object({
    ifalias: z.string().default(""),
    linkinfo: z.object({ info_kind: z.string().default("") }).optional(),
    addr_info: z.array(z.object({ local: z.string().default(""), prefixlen: z.number() })),
  }),
);

/**
 * The node's bridge, and the links of containers to it: what Podman's netavark does, by iproute2. A
 * container's link goes with its network, so there is nothing to clear away.
 */
export class Bridge {
  readonly #nodeId: NodeId;
  #known: BridgeNetwork | undefined;

  constructor(nodeId: NodeId) {
    this.#nodeId = nodeId;
  }

  /** Where the node is for containers on it. */
  get gateway(): string {
    return this.#known?.gateway ?? "127.0.0.1";
  }

  /** Makes it, or accepts the one that is there when it is the same, and remembers it. */
  async ensure(network: BridgeNetwork): Promise<void> {
    const { name, gateway, mtu } = network;
    const found = await findLink(name);
    if (found !== undefined) {
      requireSame(found, network);
    } else {
      await ip([
        `link add name ${name} address ${linkAddressOf(gateway)} type bridge`,
        `link set dev ${name} alias ${this.#alias()}${mtu === undefined ? "" : ` mtu ${mtu}`}`,
        `addr add ${gateway}/${prefixOf(network)} brd + dev ${name}`,
        ...own6Of(network, gateway).map((own) => `addr add ${own} dev ${name} nodad`),
      ]);
    }
    await ip([`link set dev ${name} up`]);
    this.#known = network;
  }

  /** Removes it if it is this node's own, and no container is on it. */
  async remove(name: string): Promise<void> {
    this.#known = undefined;
    const found = await findLink(name);
    if (found?.ifalias !== this.#alias()) return;
    if (readdirSync(`/sys/class/net/${name}/brif`).length > 0) return;
    await ip([`link delete dev ${name}`]);
  }

  /** Gives the network of a process its link `eth0` with this address, on the bridge. */
  async connect(taskId: TaskId, pid: number, address: string): Promise<void> {
    await this.link(taskId, pid, address);
    await this.join(taskId);
  }

  /** Gives the network of a process its link `eth0` with this address, which leads nowhere yet. */
  async link(taskId: TaskId, pid: number, address: string): Promise<void> {
    const { gateway, mtu, ...network } = this.#require();
    const link = linkOf(taskId);
    const size = mtu === undefined ? "" : `mtu ${mtu}`;
    const own = `name eth0 address ${linkAddressOf(address)} ${size} netns ${pid}`;
    const make = () => ip([`link add name ${link} ${size} type veth peer ${own}`]);
    try {
      await make();
    } catch (error) {
      // One that an earlier try has left goes with its network, when the kernel comes to it.
      if ((await run(["ip", "link", "delete", "dev", link])).code !== 0) throw error;
      await make();
    }
    const commands = [
      `addr add ${address}/${prefixOf(network)} brd + dev eth0`,
      ...own6Of(network, address).map((own) => `addr add ${own} dev eth0 nodad`),
      "link set dev eth0 up",
      `route add default via ${gateway}`,
      ...(network.range6 === undefined
        ? []
        : [`route add default via ${address6Of(network.range6, gateway)}`]),
    ];
    await ip(commands, ["nsenter", `--net=/proc/${pid}/ns/net`]);
  }

  /** Puts the link of a task on the bridge. */
  async join(taskId: TaskId): Promise<void> {
    const network = this.#require();
    const commands = [`link set dev ${linkOf(taskId)} master ${network.name} up`];
    try {
      await ip(commands);
    } catch (error) {
      // Somebody removed the bridge: it is made anew, once.
      if ((await findLink(network.name)) !== undefined) throw error;
      await this.ensure(network);
      await ip(commands);
    }
  }

  #require(): BridgeNetwork {
    if (this.#known !== undefined) return this.#known;
    throw new OrchdError("runtime", "the node has no network yet");
  }

  #alias(): string {
    return `orchd:${this.#nodeId}`;
  }
}

/** The node's end: fifteen characters are the most that a name may have. */
function linkOf(taskId: TaskId): string {
  return `od${taskId}`;
}

function prefixOf({ subnet }: Pick<BridgeNetwork, "subnet">): string {
  return subnet.split("/")[1] ?? "24";
}

/** An address with the length of its network, of IPv6; nobody else has it, so nobody is asked. */
function own6Of({ subnet, range6 }: Pick<BridgeNetwork, "subnet" | "range6">, address: string) {
  if (range6 === undefined) return [];
  const [, prefix = ""] = subnet6Of(range6, subnet).split("/");
  return [`${address6Of(range6, address)}/${prefix}`];
}

function requireSame(found: z.infer<typeof linkSchema>[number], wanted: BridgeNetwork): void {
  const { name, gateway, subnet } = wanted;
  const kind = found.linkinfo?.info_kind ?? "";
  const has = found.addr_info.filter(({ local }) => local.includes("."));
  const prefix = Number(prefixOf(wanted));
  const all = new Set(found.addr_info.map((one) => `${one.local}/${one.prefixlen}`));
  const needs = [`${gateway}/${prefix}`, ...own6Of(wanted, gateway)];
  const same = needs.every((address) => all.has(address));
  if (kind === "bridge" && same) return;
  const is =
    has.map(({ local, prefixlen }) => subnetOf(local, prefixlen)).join(", ") || "no subnet";
  throw new OrchdError(
    "conflict",
    `the interface ${name} is not as orchd needs it (it has ${is}, wanted is a bridge with ` +
      `${[subnet, ...needs.slice(1)].join(" and ")}); remove it with: ip link delete ${name}`,
  );
}

/** `10.213.0.0/24` of 10.213.0.1 and 24. */
function subnetOf(address: string, prefix: number): string {
  const number = address.split(".").reduce((sum, octet) => sum * 256 + Number(octet), 0);
  const size = 2 ** (32 - prefix);
  const base = Math.floor(number / size) * size;
  const octets = [24, 16, 8, 0].map((shift) => Math.floor(base / 2 ** shift) % 256);
  return `${octets.join(".")}/${prefix}`;
}

async function findLink(name: string): Promise<z.infer<typeof linkSchema>[number] | undefined> {
  const { code, text } = await run(["ip", "-details", "-json", "addr", "show", "dev", name]);
  if (code !== 0) return undefined;
  return linkSchema.safeParse(JSON.parse(text)).data?.[0];
}

/** Several commands of `ip` at once; the first that fails ends them. */
async function ip(commands: readonly string[], before: readonly string[] = []): Promise<void> {
  const { code, error } = await run([...before, "ip", "-batch", "-"], `${commands.join("\n")}\n`);
  if (code === 0) return;
  const reason = error
    .replaceAll(/Command failed -:\d+/g, "")
    .replaceAll(/\s+/g, " ")
    .trim();
  throw new OrchdError("runtime", `the node's network could not be set up: ${reason}`);
}

async function run(command: string[], input = "") {
  try {
    const child = Bun.spawn(command, {
      stdio: [new Blob([input]), "pipe", "pipe"],
      timeout: TIMEOUT_MS,
    });
    const [text, error, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    return { code, text, error };
  } catch (cause) {
    const [program] = command;
    const missing = systemCodeOf(cause) === "ENOENT";
    const debian = program === "ip" ? "iproute2" : "util-linux";
    const why = missing ? `is missing (Debian: apt install ${debian})` : messageOf(cause);
    throw new OrchdError("runtime", `${program} ${why}`, { cause });
  }
}
