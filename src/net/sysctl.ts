import { readdir, readFile, writeFile } from "node:fs/promises";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";

const IPV6 = "net/ipv6/conf";
const FORWARDING = `${IPV6}/all/forwarding`;

/**
 * Lets programs on this node reach published ports through 127.0.0.1: without it the kernel drops
 * packets from a loopback address on the bridge. Nothing happens while the bridge is not there.
 */
export async function routeLoopback(interfaceName: string): Promise<void> {
  await setSysctl(`net/ipv4/conf/${interfaceName}/route_localnet`, "1");
}

/** Lets the node pass packets on between its interfaces. */
export async function forwardPackets(): Promise<void> {
  await setSysctl("net/ipv4/ip_forward", "1");
}

/**
 * The same for IPv6. A kernel that passes them on listens to no router any more by itself: where
 * it has its address and its default route from one, it is told to go on.
 */
export async function forwardIpv6(): Promise<void> {
  if ((await readSysctl(FORWARDING)) !== "0") return;
  for (const device of await readdir(`/proc/sys/${IPV6}`)) {
    const name = `${IPV6}/${device}/accept_ra`;
    if (device !== "all" && (await readSysctl(name)) === "1") await setSysctl(name, "2");
  }
  await setSysctl(FORWARDING, "1");
}

/**
 * Whether tasks of this machine can have addresses of IPv6.
 * @throws OrchdError `runtime` where they can't, with what to do
 */
export async function requireIpv6(): Promise<void> {
  const settings = await Promise.all(
    ["all", "default"].map((device) => readSysctl(`${IPV6}/${device}/disable_ipv6`)),
  );
  if (settings.every((value) => value === "0")) return;
  const remedy = settings.includes("1")
    ? "set net.ipv6.conf.all.disable_ipv6 and net.ipv6.conf.default.disable_ipv6 to 0 by sysctl"
    : "start it without ipv6.disable=1";
  const message = "tasks of this cluster have IPv6 addresses, and this machine's kernel has none";
  throw new OrchdError("runtime", `${message}: ${remedy}`);
}

/** Undefined where the kernel has no such setting. */
async function readSysctl(name: string): Promise<string | undefined> {
  try {
    return (await readFile(`/proc/sys/${name}`, "utf8")).trim();
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return undefined;
    throw new OrchdError("runtime", `the kernel setting ${name} can't be read`, { cause: error });
  }
}

async function setSysctl(name: string, value: string): Promise<void> {
  const path = `/proc/sys/${name}`;
  try {
    if ((await readFile(path, "utf8")).trim() !== value) await writeFile(path, value);
  } catch (cause) {
    if (systemCodeOf(cause) === "ENOENT") return;
    throw new OrchdError("runtime", `the kernel setting ${name} could not be set to ${value}`, {
      cause,
    });
  }
}
