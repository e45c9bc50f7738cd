import { OrchdError, systemCodeOf } from "../lib/errors.ts";

const TIMEOUT_MS = 5000;

/** The node's bridge, whose address somebody wants to take. */
export interface BridgeAddress {
  name: string;
  /** `10.210.1.1` */
  address: string;
  /** Of the network that it is in. */
  prefix: number;
}

/**
 * Makes the bridge for as long as `take` runs. The runtime makes it with the first container and
 * ends it with the last; but a socket that is bound once stays so, and works whenever the bridge is
 * there. Nothing may start containers meanwhile.
 * @throws OrchdError `runtime` when it can't be made, and whatever `take` throws
 */
export async function withBridgeAddress<T>(
  { name, address, prefix }: BridgeAddress,
  take: () => Promise<T>,
): Promise<T> {
  // One that is there without its address is the runtime's to finish, and not ours to take away.
  await ip("link", "add", "dev", name, "type", "bridge");
  try {
    // As the runtime would have it, which finds it so if this process is killed here.
    await ip("address", "add", `${address}/${prefix}`, "brd", "+", "dev", name);
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
