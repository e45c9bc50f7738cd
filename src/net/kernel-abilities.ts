import { existsSync } from "node:fs";
import { complaintOf, runProgram } from "./program.ts";

const UNSHARE = { name: "unshare", whatFor: "so the kernel can't be tried out" };
const MODPROBE = { name: "modprobe", whatFor: "so the kernel's modules are not known" };

const TRIALS = {
  nftables: ["nft", "add", "table", "ip", "orchd-try"],
  vxlan: ["ip", "link", "add", "orchd-try", "type", "vxlan", "id", "1", "dstport", "8472"],
} as const;

/**
 * Whether the kernel can make what orchd asks of it: tried in a network namespace that goes at
 * once, so that nothing is changed but for modules that are loaded by it.
 * @returns what it complained of; undefined where it can
 * @throws OrchdError `runtime` where nothing can be tried
 */
export async function tryKernel(what: keyof typeof TRIALS): Promise<string | undefined> {
  const output = await runProgram(UNSHARE, ["--net", "--", ...TRIALS[what]]);
  return output.exitCode === 0 ? undefined : complaintOf(output);
}

/** As `tryKernel`, for filtering packets between ports of a bridge; nothing is loaded. */
export async function findBridgeFilter(): Promise<string | undefined> {
  if (existsSync("/proc/sys/net/bridge")) return undefined;
  const output = await runProgram(MODPROBE, ["-n", "-q", "br_netfilter"]);
  return output.exitCode === 0 ? undefined : "there is no module br_netfilter";
}
