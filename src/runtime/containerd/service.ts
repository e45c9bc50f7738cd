import { readdirSync, readFileSync } from "node:fs";
import { OrchdError } from "../../lib/errors.ts";
import { isCode } from "./errors.ts";
import { type ContainerdGrpc, NAMESPACE } from "./grpc.ts";
import { METHODS } from "./methods.ts";
import { findRuntime } from "../podman/machine.ts";
import { SNAPSHOTTER } from "./unpack.ts";

export const SYSTEM_SOCKET = "/run/containerd/containerd.sock";

const ANSWER_MS = 10_000;
const SHIM = "containerd-shim-runc-v2";

/**
 * Makes sure that what answers is a containerd that containers can be run with.
 * @throws OrchdError with what is missing, and how it is had
 */
export async function requireContainerd(grpc: ContainerdGrpc): Promise<void> {
  const { version } = await grpc.call(METHODS.version, {}, { timeoutMs: ANSWER_MS });
  const [, major = 0, minor = 0] = (/^v?(\d+)\.(\d+)/.exec(version) ?? []).map(Number);
  if (major < 1 || (major === 1 && minor < 6)) {
    throw new OrchdError("runtime", `containerd ${version} is too old: orchd needs 1.6 or later`);
  }
  const missing = ["runc", SHIM].find((name) => findRuntime(name) === undefined);
  if (missing !== undefined) {
    const name = missing === SHIM ? "containerd" : missing;
    throw new OrchdError(
      "runtime",
      `containerd finds no ${missing} on this machine (Debian: apt install ${name})`,
    );
  }
  const { plugins } = await grpc.call(METHODS.plugins, { filters: [`id==${SNAPSHOTTER}`] });
  const trouble = plugins.find(({ initErr }) => initErr !== null)?.initErr?.message;
  if (plugins.length === 0 || trouble !== undefined) {
    throw new OrchdError(
      "runtime",
      `containerd has no file systems in layers (overlayfs): ${trouble ?? "it is switched off"}`,
    );
  }
  try {
    await grpc.call(METHODS.createNamespace, { namespace: { name: NAMESPACE } });
  } catch (error) {
    if (!isCode(error, "conflict")) throw error;
  }
}

/** containerd's process, whose limits those of containers can't exceed; as far as it is known. */
export function findServicePid(socketPath: string): number | undefined {
  let found: number | undefined;
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const words = readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0");
      if (!words[0]?.endsWith("containerd")) continue;
      if (words.includes(socketPath)) return Number(entry);
      found ??= Number(entry);
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}
