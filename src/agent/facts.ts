import { arch, availableParallelism, hostname, totalmem } from "node:os";
import type { NodeFacts } from "../model/node.ts";
import type { FoundDevices } from "./find-devices.ts";
import type { RuntimeInfo } from "../runtime/driver.ts";

/** Architectures as images name them. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

export interface FactsOptions {
  runtime: RuntimeInfo;
  /** By which others reach this machine. */
  address: string;
  orchdVersion: string;
  /** Whether it runs plain processes. */
  processes: boolean;
  /** What people say that it has, by name. */
  resources: Readonly<Record<string, number>>;
  /** What it has that tasks can be given; absent where its runtime can give nothing. */
  devices: FoundDevices | undefined;
  /** Of a machine that can take part in an encrypted network. */
  wireguardKey?: string | undefined;
  /** Where it takes requests for services. */
  ingress: NodeFacts["ingress"];
  /** Which executable of orchd it is; absent where it can't become another one. */
  executable?: NodeFacts["executable"];
}

/** What this machine is. */
export function readFacts(options: FactsOptions): NodeFacts {
  const { runtime, processes, address, orchdVersion, resources } = options;
  const { devices, ingress, wireguardKey, executable } = options;
  return {
    generic: { ...resources },
    foreignImages: {},
    ...devices,
    ...(wireguardKey === undefined ? {} : { wireguardKey }),
    ...(ingress === undefined ? {} : { ingress }),
    ...(executable === undefined ? {} : { executable }),
    hostname: hostname(),
    address,
    platform: { os: "linux", arch: ARCHITECTURES[arch()] ?? arch() },
    resources: { cpuMillis: availableParallelism() * 1000, memoryBytes: totalmem() },
    runtime,
    ...(processes ? { processes } : {}),
    orchdVersion,
  };
}
