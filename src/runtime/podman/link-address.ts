import { networkInterfaces } from "node:os";
import { systemCodeOf } from "../../lib/errors.ts";
import type { BridgeNetwork } from "../driver.ts";

const TIMEOUT_MS = 5000;

/**
 * A link address that goes with the IPv4 address: who gets the address of an earlier one is reached
 * at once, whatever the neighbour tables remember.
 */
export function linkAddressOf(address: string): string {
  const octets = address.split(".").map((octet) => Number(octet).toString(16).padStart(2, "0"));
  return ["0a", "6f", ...octets].join(":");
}

/**
 * Gives the bridge the link address of its gateway, once in its life. A bridge that has none of its
 * own takes the lowest of its ports: it would change as containers come and go, and what the others
 * send to the gateway would be lost until they have asked for it again, up to a second later.
 */
export async function keepLinkAddress({ name, gateway }: BridgeNetwork): Promise<void> {
  const wanted = linkAddressOf(gateway);
  const found = networkInterfaces()[name]?.[0]?.mac;
  // Containers without a network need no bridge, and it is made with the first that has one.
  if (found === undefined || found === wanted) return;
  try {
    const child = Bun.spawn(["ip", "link", "set", "dev", name, "address", wanted], {
      stdio: ["ignore", "ignore", "ignore"],
      timeout: TIMEOUT_MS,
    });
    await child.exited;
  } catch (error) {
    // Without `ip` some packets are lost now and then, which is better than no container.
    if (systemCodeOf(error) !== "ENOENT") throw error;
  }
}
