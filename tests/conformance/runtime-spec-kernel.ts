import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import type { Cannot } from "./runtime-cases.ts";
import type { SpecTools } from "./runtime-spec.ts";

const MIB = 1024 * 1024;

const PRIVILEGED = "a privileged one has every right that the node itself has";

/** Docker gives every right that the kernel knows, and can't where the machine's root lacks one. */
export function unlessAllRights(): Cannot {
  const all = 2n ** (BigInt(readFileSync("/proc/sys/kernel/cap_last_cap", "utf8")) + 1n) - 1n;
  if (ownRights() === all) return {};
  return { [PRIVILEGED]: "this machine's root lacks rights, and Docker gives them all or fails" };
}

function ownRights(): bigint {
  const status = readFileSync("/proc/self/status", "utf8");
  return BigInt(`0x${/^CapBnd:\t(\w+)$/m.exec(status)?.[1] ?? "0"}`);
}

/** What the kernel does for a container beyond its limits. */
export function kernelCases({ inside, test }: SpecTools): void {
  test("shared memory, and when the kernel ends it for want of memory, are as given", async () => {
    const script =
      "mount | grep ' on /dev/shm ' | grep -o size=2048k; cat /proc/self/oom_score_adj";
    const change = { shmSizeBytes: 2 * MIB, oomScoreAdjust: 321 };
    expect(await inside(script, change)).toEqual(["size=2048k", "321"]);
  });

  test("it keeps to its set of processors", async () => {
    const script = "grep Cpus_allowed_list /proc/self/status | cut -f2";
    expect(await inside(script, {}, { cpuSet: "0" })).toEqual(["0"]);
  });

  test("its share of processors is as given", async () => {
    const script = "exec 2>&-; cd /sys/fs/cgroup; cat cpu/cpu.shares || cat cpu.weight";
    const [share = ""] = await inside(script, {}, { cpuShares: 512 });
    // As the new kind of cgroups counts: 1 to 10000 instead of 2 to 262144.
    expect(["512", "20"]).toContain(share);
  });

  test("init comes first, and takes in what nobody waits for", async () => {
    const script = "cat /proc/1/comm; true";
    expect(await inside(script, { init: false })).toEqual(["sh"]);
    const [name = ""] = await inside(script, { init: true });
    expect(name).toMatch(/init|catatonit|tini/);
  });

  test(PRIVILEGED, async () => {
    const script = "grep -E '^(CapEff|Seccomp):' /proc/self/status | cut -f2";
    const own = ownRights().toString(16).padStart(16, "0");
    expect(await inside(script, { privileged: true })).toEqual([own, "0"]);
  });
}
