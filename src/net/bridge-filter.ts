import { access, writeFile } from "node:fs/promises";
import { runProgram } from "./program.ts";

/** There once the kernel can pass packets between ports of a bridge through the rules for IP. */
const SETTINGS = "/proc/sys/net/bridge";
const MODPROBE = { name: "modprobe", whatFor: "so the kernel's bridge can't be filtered" };

/**
 * Lets the kernel filter bridges, each where it is asked to. A machine on which nothing has needed
 * that so far keeps its other bridges as they are: loading the module would filter all of them.
 * @returns whether it can
 */
export async function allowBridgeFilter(): Promise<boolean> {
  if (await isThere()) return true;
  try {
    await runProgram(MODPROBE, ["br_netfilter"]);
  } catch {
    // Without modprobe the kernel is as it is, which the next line finds out.
  }
  if (!(await isThere())) return false;
  for (const family of ["iptables", "ip6tables", "arptables"]) {
    await writeFile(`${SETTINGS}/bridge-nf-call-${family}`, "0");
  }
  return true;
}

async function isThere(): Promise<boolean> {
  return access(SETTINGS).then(
    () => true,
    () => false,
  );
}
