import { arch, availableParallelism, hostname, totalmem } from "node:os";
import type { NodeFacts } from "../model/node.ts";
import type { RuntimeInfo } from "../runtime/driver.ts";

/** Architectures as images name them. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** What this machine is. */
export function readFacts(runtime: RuntimeInfo, address: string, orchdVersion: string): NodeFacts {
  return {
    hostname: hostname(),
    address,
    platform: { os: "linux", arch: ARCHITECTURES[arch()] ?? arch() },
    resources: { cpuMillis: availableParallelism() * 1000, memoryBytes: totalmem() },
    runtime,
    orchdVersion,
  };
}
