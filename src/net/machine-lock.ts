import { createServer } from "node:net";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";

/**
 * Takes the machine's container network for this process. Two orchd with data directories of their
 * own would take each other's port rules away. The lock is a name in the kernel that goes with the
 * process; each network namespace has names of its own.
 * @throws OrchdError `conflict` when another orchd holds it
 */
export function lockNetwork(interfaceName: string): Promise<{ release: () => void }> {
  return new Promise((resolve, reject) => {
    const holder = createServer((socket) => socket.destroy());
    holder.once("error", (cause) => reject(refusalOf(interfaceName, cause)));
    holder.listen(`\0orchd-network-${interfaceName}`, () => {
      holder.unref();
      resolve({ release: () => void holder.close() });
    });
  });
}

function refusalOf(interfaceName: string, cause: Error): OrchdError {
  if (systemCodeOf(cause) !== "EADDRINUSE") {
    return new OrchdError("runtime", `the network ${interfaceName} can't be locked`, { cause });
  }
  const message =
    `another orchd runs containers on this machine, in the network ${interfaceName}: ` +
    "stop it, or start this one with --runtime fake or --no-agent";
  return new OrchdError("conflict", message, { cause });
}
