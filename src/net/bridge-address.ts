import { networkInterfaces } from "node:os";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";

const TIMEOUT_MS = 5000;

/** The node's bridge, whose address somebody wants to take. */
export interface BridgeAddress {
  name: string;
  /** `10.210.1.1` */
  address: string;
}

/**
 * Calls `take` while the machine has the address. The runtime makes a bridge with the first
 * container and ends it with the last, but a socket that is bound once stays so, and works whenever
 * the bridge is there: so a bridge that is not there yet is made for the moment of `take`. Nothing
 * may start containers meanwhile.
 * @throws OrchdError `runtime` when it can't be made, and whatever `take` throws
 */
export async function withBridgeAddress<T>(
  { name, address }: BridgeAddress,
  take: () => Promise<T>,
): Promise<T> {
  if (networkInterfaces()[name]?.some((one) => one.address === address)) return take();
  // One that is there without its address is not ours to take away, and is the runtime's to finish.
  await ip("link", "add", "dev", name, "type", "bridge");
  try {
    await ip("address", "add", `${address}/32`, "dev", name);
    await ip("link", "set", "dev", name, "up");
    return await take();
  } finally {
    await ip("link", "delete", "dev", name);
  }
}

async function ip(...words: string[]): Promise<void> {
  let child: Bun.Subprocess<"ignore", "ignore", "pipe">;
  try {
    child = Bun.spawn(["ip", ...words], {
      stdio: ["ignore", "ignore", "pipe"],
      timeout: TIMEOUT_MS,
    });
  } catch (cause) {
    if (systemCodeOf(cause) !== "ENOENT") throw cause;
    const message = "ip is not installed: install it (Debian: apt install iproute2)";
    throw new OrchdError("runtime", message, { cause });
  }
  const [exitCode, said] = await Promise.all([child.exited, new Response(child.stderr).text()]);
  if (exitCode === 0) return;
  const detail = said.split("\n", 1)[0]?.trim() ?? "";
  throw new OrchdError("runtime", `ip ${words.join(" ")} failed: ${detail}`);
}
