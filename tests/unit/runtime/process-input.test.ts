import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { ContainerSpec } from "../../../src/model/container.ts";
import type { NodeId, TaskId } from "../../../src/model/ids.ts";
import { Cgroups } from "../../../src/runtime/process/cgroups.ts";
import { processAccount, rightsOf } from "../../../src/runtime/process/process-rights.ts";
import { findProgram } from "../../../src/runtime/process/program.ts";
import { refuseImpossible } from "../../../src/runtime/process/refusals.ts";
import { aContainer } from "../../builders.ts";

const MOUNT = { type: "bind" as const, source: "/srv", target: "/srv", readOnly: false };

describe("what a process can't have is refused by its name in Compose", () => {
  const cases: [change: Partial<ContainerSpec>, message: string][] = [
    [{ privileged: true }, "a process can't have privileged: run it in a container"],
    [{ tty: true }, "a process can't have tty: run it in a container"],
    [{ stdinOpen: true }, "a process can't have stdin_open: run it in a container"],
    [{ oomKillDisable: true }, "a process can't have oom_kill_disable: run it in a container"],
    [{ usernsMode: "private" }, "a process can't have userns_mode: run it in a container"],
    [{ cgroupMode: "private" }, "a process can't have cgroup: private: run it in a container"],
    [
      { securityOptions: ["no-new-privileges:true", "seccomp=/etc/own.json"] },
      'the security option "seccomp=/etc/own.json" is unknown to process',
    ],
    [
      { sysctls: { "vm.swappiness": "1" } },
      "the sysctl vm.swappiness is the node's own, and not the task's",
    ],
    [
      { sysctls: { "net.core.somaxconn": "9" }, networkMode: "host" },
      "the sysctl net.core.somaxconn is the node's own, and not the task's",
    ],
    [
      { sysctls: { "net/../../sysrq-trigger": "c" }, networkMode: "none" },
      "the sysctl net/../../sysrq-trigger is the node's own, and not the task's",
    ],
    [
      { mounts: [{ ...MOUNT, createSource: false, propagation: "rshared" }] },
      "a process can't hand on what it mounts (propagation rshared)",
    ],
  ];
  for (const [change, message] of cases) {
    test(message, () => expect(() => refuseImpossible(aContainer(change))).toThrow(message));
  }

  test("what holds for processes anyway is taken", () => {
    const securityOptions = ["no-new-privileges:true", "seccomp=unconfined", "label=disable"];
    const sysctls = { "net.core.somaxconn": "9", "kernel.shmmax": "1" };
    refuseImpossible(aContainer({ securityOptions, sysctls, networkMode: "none" }));
  });
});

describe("rights", () => {
  const account = { uid: 1000, gid: 1000, additionalGids: [], home: "/" };
  const machine = { available: new Set(["CAP_NET_ADMIN"]), limits: new Map([["NOFILE", 500]]) };
  const of = (change: Partial<ContainerSpec>) => rightsOf(aContainer(change), account, machine);

  test("a limit above the hard one that there is, is lowered to that", () => {
    const ulimits = [{ name: "nofile", soft: -1, hard: 9000 }];
    expect(of({ ulimits }).limits).toEqual(["--nofile=500:500"]);
  });

  test("limits, capabilities and users that there are not are refused", () => {
    expect(() => of({ ulimits: [{ name: "files", soft: 1, hard: 1 }] })).toThrow(
      'there is no limit "files" (ulimits)',
    );
    expect(() => of({ capAdd: ["NONSENSE"] })).toThrow("NONSENSE");
    expect(() => processAccount("nobody-here", [])).toThrow(
      'the user "nobody-here" does not exist on the node',
    );
  });
});

describe("programs", () => {
  const search = { path: "/bin", workingDir: "/", onMachine: (path: string) => path };
  const real = realpathSync("/bin/sh");

  test("a node that allows nothing runs nothing, and says which setting that is", () => {
    expect(() => findProgram("/bin/sh", { ...search, allowed: [] })).toThrow(
      /may not be run on this node: its --allow-process names nothing$/,
    );
  });

  test("a directory that begins like an allowed one is another one", () => {
    const allowed = [real.slice(0, -1)];
    expect(() => findProgram("/bin/sh", { ...search, allowed })).toThrow("may not be run");
    expect(findProgram("sh", { ...search, allowed: [dirname(real)] }).real).toBe(real);
  });
});

describe("cgroups", () => {
  const task = "t11111111111" as TaskId;
  const memory = { memoryBytes: 64 * 1024 * 1024 };
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "orchd-cgroups-"));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  test("a kernel that counts no memory is told with the line that makes it", () => {
    for (const name of ["cpu", "pids"]) {
      mkdirSync(join(root, name));
      writeFileSync(join(root, name, "cgroup.procs"), "");
    }
    const cgroups = new Cgroups("n11111111111" as NodeId, root);
    expect(() => cgroups.make(task, memory)).toThrow(
      "cgroup_enable=memory cgroup_memory=1 into the line of /boot/firmware/cmdline.txt",
    );
    cgroups.make(task, { cpuMillis: 250 });
    const file = join(root, "cpu", "orchd-process-n11111111111", task, "cpu.cfs_quota_us");
    expect(readFileSync(file, "utf8")).toBe("25000");
  });

  test("with the new kind it is the list of controllers that says so", () => {
    writeFileSync(join(root, "cgroup.controllers"), "cpu pids\n");
    const cgroups = new Cgroups("n11111111111" as NodeId, root);
    expect(() => cgroups.make(task, memory)).toThrow("/boot/firmware/cmdline.txt");
  });
});
