import { readFile, writeFile } from "node:fs/promises";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";

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
