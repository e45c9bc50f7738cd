import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ContainerSpec, Resources } from "../../src/model/container.ts";
import type { TaskId } from "../../src/model/ids.ts";
import { hasProcesses, makeProcessLab, type ProcessLab } from "./runtime-process-lab.ts";
import { aTask } from "./runtime-task.ts";
import { failureOf, until } from "./runtime-until.ts";

const SUITE = "processes";
const TIMEOUT_MS = 120_000;
const SHOW_SHARES = "cat cpu$C/cpu.shares || cat .$U/cpu.weight";

describe(SUITE, () => {
  if (!hasProcesses(SUITE)) return;
  let lab: ProcessLab;
  const made: TaskId[] = [];
  beforeAll(async () => {
    lab = await makeProcessLab("orchdt11", "10.213.11");
  });
  afterEach(async () => {
    for (const taskId of made.splice(0)) await lab.runtime.remove(taskId);
  });
  afterAll(async () => lab.close());

  async function create(
    script: string,
    change: Partial<ContainerSpec> = {},
    limits: Resources["limits"] = {},
  ): Promise<TaskId> {
    const plain = aTask(lab.image, {}, { command: ["/bin/sh", "-c", script], ...change });
    const assignment = { ...plain, resources: { ...plain.resources, limits } };
    made.push(assignment.taskId);
    await lab.runtime.create({ assignment });
    return assignment.taskId;
  }
  async function run(...asked: Parameters<typeof create>): Promise<TaskId> {
    const taskId = await create(...asked);
    await lab.runtime.start(taskId);
    return taskId;
  }
  async function printed(...asked: Parameters<typeof create>): Promise<string[]> {
    const texts: string[] = [];
    const { signal } = new AbortController();
    for await (const { text } of lab.runtime.logs(await run(...asked), { follow: true }, signal)) {
      texts.push(text);
    }
    return texts;
  }
  const ended = (taskId: TaskId) =>
    until("the process's end", async () => {
      const status = await lab.runtime.inspect(taskId);
      return status?.state === "exited" && status;
    });

  const showLimits = [
    "M=$(sed -n 's/.*:memory://p' /proc/self/cgroup)",
    "C=$(sed -n 's/.*:cpu://p' /proc/self/cgroup)",
    "P=$(sed -n 's/.*:pids://p' /proc/self/cgroup); U=$(sed -n 's/^0:://p' /proc/self/cgroup)",
    "cd /sys/fs/cgroup",
    "cat memory$M/memory.limit_in_bytes || cat .$U/memory.max",
    "cat cpu$C/cpu.cfs_quota_us || cut -d' ' -f1 .$U/cpu.max",
    "cat pids$P/pids.max || cat .$U/pids.max",
  ];

  test("limits change while it runs", async () => {
    const taskId = await run("sleep 60", {}, { memoryBytes: 64 * 1024 * 1024, cpuMillis: 250 });
    const options = { signal: AbortSignal.timeout(10_000), outputBytesMax: 4096 };
    const limits = async () => {
      const command = ["/bin/sh", "-c", `exec 2>&-; ${showLimits.join("; ")}`];
      return (await lab.runtime.run(taskId, command, options)).output.trim().split("\n");
    };
    await lab.runtime.limit(taskId, { memoryBytes: 96 * 1024 * 1024, cpuMillis: 500, pids: 70 });
    expect(await limits()).toEqual([`${96 * 1024 * 1024}`, "50000", "70"]);
    await lab.runtime.limit(taskId, { memoryBytes: 32 * 1024 * 1024 });
    expect(await limits()).toEqual([
      `${32 * 1024 * 1024}`,
      expect.stringMatching(/^(-1|max)$/),
      "2048",
    ]);
  });

  test("limits are those of a cgroup of its own, and of the process", async () => {
    const script = [...showLimits, SHOW_SHARES, "ulimit -n; ulimit -Hn"];
    const ulimits = [{ name: "nofile", soft: 100, hard: 200 }];
    const limits = { memoryBytes: 64 * 1024 * 1024, cpuMillis: 250, pids: 50, cpuShares: 512 };
    expect(await printed(`exec 2>&-; ${script.join("; ")}`, { ulimits }, limits)).toEqual([
      "67108864",
      "25000",
      "50",
      expect.stringMatching(/^(512|20)$/),
      "100",
      "200",
    ]);
  });

  test("without a word it is nobody, without rights and without a way to more", async () => {
    const script = "id -u; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status | cut -f2";
    expect(await printed(script)).toEqual(["65534", "0".repeat(16), "0".repeat(16), "1"]);
    const capAdd = ["NET_ADMIN"];
    const [, first, second] = await printed(script, { capAdd });
    expect([first, second]).toEqual(["0000000000001000", "0000000000001000"]);
  });

  test("with a read-only root it writes to its own /tmp alone, also as root", async () => {
    const script = [
      "(echo x >/orchd-file) 2>&- || echo read-only",
      "(echo x >/usr/orchd-file) 2>&- || echo read-only",
      "echo x >/tmp/file && cat /tmp/file; ls /orchd-file /usr/orchd-file 2>&-",
    ].join("; ");
    const root = { readOnly: true, user: "0:0" };
    expect(await printed(script, root)).toEqual(["read-only", "read-only", "x"]);
  });

  test("a device is where the node has it, and nowhere else", async () => {
    const device = { source: "/dev/zero", target: "/dev/zero", permissions: "rw" };
    expect(await printed("head -c 1 /dev/zero | od -An -tx1", { devices: [device] })).toEqual([
      " 00",
    ]);
    const moved = { devices: [{ ...device, target: "/dev/orchd-zero" }] };
    expect((await failureOf(create("", moved))).message).toBe(
      "a process finds the device /dev/zero there, and not at /dev/orchd-zero",
    );
  });

  test("its /tmp is its own, and goes with it", async () => {
    const taskId = await run("echo x >/tmp/orchd-mark; ls /tmp /var/tmp; sleep 60");
    await until("the mark", async () => {
      const texts: string[] = [];
      const { signal } = new AbortController();
      for await (const { text } of lab.runtime.logs(taskId, { follow: false }, signal)) {
        texts.push(text);
      }
      return texts.includes("orchd-mark");
    });
    expect(existsSync("/tmp/orchd-mark")).toBe(false);
  });

  test("what a program leaves behind as a daemon ends with it", async () => {
    const taskId = await run("setsid sh -c 'sleep 2201 & sleep 2201' & exit 0");
    expect((await ended(taskId)).exitCode).toBe(0);
    await until("nothing of it is left", () => processes("2201") === 0);
  });

  test("a program that forks for ever stops at its limit, and ends as a whole", async () => {
    const taskId = await run("f() { sleep 2202 & f; }; f; sleep 2202", {}, { pids: 30 });
    await lab.runtime.stop(taskId, 0);
    expect(processes("2202")).toBe(0);
  });

  test("a link that leads out of the allowed directories is refused", async () => {
    const link = join(lab.dir, "here", "sh");
    await symlink("/bin/sh", link);
    const inside = await create("", { command: [join(lab.dir, "here", "missing")] });
    expect((await failureOf(lab.runtime.start(inside))).message).toContain("was not found");
    const ours = await create("", { command: [join(lab.dir, "data", "process")] });
    expect((await failureOf(lab.runtime.start(ours))).message).toContain("can't be executed");
    const script = join(lab.dir, "here", "script");
    await Bun.write(script, "#!/bin/sh\n");
    await Bun.$`chmod 755 ${script}`.quiet();
    const out = await create("", { command: [script] });
    const error = await failureOf(lab.runtime.start(out));
    expect(error.code).toBe("forbidden");
    expect(error.message).toContain("may not be run on this node: its --allow-process names");
    // The link itself is anywhere, and what counts is where it leads.
    expect(await printed("", { command: [link, "-c", "echo led"] })).toEqual(["led"]);
  });

  test("a program that is hidden behind another one by a mount is refused", async () => {
    const target = "/usr/bin/id";
    const source = join(lab.dir, "here", "other");
    await Bun.write(source, "#!/bin/sh\necho other\n");
    await Bun.$`chmod 755 ${source}`.quiet();
    const mount = { type: "bind" as const, source, target, readOnly: true, createSource: false };
    const taskId = await create("", { command: [target], mounts: [mount] });
    expect((await failureOf(lab.runtime.start(taskId))).code).toBe("forbidden");
  });

  test("secrets are where they are in containers", async () => {
    const source = join(lab.dir, "here", "secret");
    await Bun.write(source, "key\n");
    const target = "/run/secrets/db/key";
    const mount = { type: "bind" as const, source, target, readOnly: true, createSource: false };
    expect(await printed(`cat ${target}`, { mounts: [mount] })).toEqual(["key"]);
  });

  test("a monitor that is killed takes nothing along, and the end is still told", async () => {
    const taskId = await run("sleep 60");
    const { monitor, program } = lab.idsOf(taskId);
    process.kill(monitor, "SIGKILL");
    expect(await lab.runtime.inspect(taskId)).toMatchObject({ state: "running" });
    process.kill(program, "SIGKILL");
    expect(await ended(taskId)).toMatchObject({ exitCode: 137 });
  });

  test(
    "an agent that is killed at any moment of a start has started once or not at all",
    async () => {
      const path = fileURLToPath(import.meta.resolve("./runtime-process-victim.ts"));
      for (const [moment, isThere] of Object.entries(MOMENTS)) {
        const assignment = aTask(lab.image, {}, { command: ["/bin/sleep", "2204"] });
        const { taskId } = assignment;
        const victim = Bun.spawn([process.execPath, path], {
          env: { ...process.env, VICTIM: JSON.stringify({ ...lab.options(), assignment }) },
          stdio: ["ignore", "ignore", "inherit"],
        });
        const directory = join(lab.dir, "data", "process", "tasks", taskId);
        await until(moment, () => isThere(directory), TIMEOUT_MS);
        victim.kill("SIGKILL");
        await victim.exited;
        const again = await lab.reopen();
        if (moment === "it has begun") {
          expect(await again.inspect(taskId)).toMatchObject({ state: "running" });
        }
        await again.start(taskId);
        expect(await again.inspect(taskId)).toMatchObject({ state: "running" });
        await until("it is one program", () => processes("2204") === 1);
        await again.remove(taskId);
        expect(processes("2204")).toBe(0);
      }
    },
    TIMEOUT_MS,
  );

  /** What there is of a task before its program. */
  function waiting(taskId: TaskId): number[] {
    const name = `orchd-process-${lab.nodeId}/${taskId}/cgroup.procs`;
    const files = ["memory", "."].map((kind) => `/sys/fs/cgroup/${kind}/${name}`);
    const file = files.find((path) => existsSync(path));
    return file === undefined ? [] : (readFileSync(file, "utf8").match(/\d+/g)?.map(Number) ?? []);
  }

  test("what waits for its start is made anew by it when somebody has ended it", async () => {
    const taskId = await create("exec sleep 2206");
    const [chain = 0, ...others] = waiting(taskId);
    expect([chain > 1, others, processes("2206")]).toEqual([true, [], 0]);
    process.kill(chain, "SIGKILL");
    await until("nothing waits", () => waiting(taskId).length === 0);
    await lab.runtime.start(taskId);
    expect(await lab.runtime.inspect(taskId)).toMatchObject({ state: "running" });
    await until("it is one program", () => processes("2206") === 1);
  });

  test("what waits for its start ends with its agent, and another one starts it", async () => {
    await lab.runtime.ensureNetwork(lab.network);
    const first = await lab.reopen();
    await first.ensureNetwork(lab.network);
    const command = ["/bin/sleep", "2207"];
    const assignment = aTask(lab.image, {}, { command, networkMode: "bridge" });
    const { taskId } = assignment;
    made.push(taskId);
    await first.create({ assignment, address: "10.213.11.7" });
    expect(waiting(taskId)).toHaveLength(1);
    await first.close();
    await lab.runtime.start(taskId);
    expect(await lab.runtime.inspect(taskId)).toMatchObject({ state: "running" });
    await until("it is one program", () => processes("2207") === 1);
    const network = `/proc/${lab.idsOf(taskId).program}/ns/net`;
    const addresses = await Bun.$`nsenter --net=${network} ip -4 -oneline addr`.text();
    expect(addresses).toContain("10.213.11.7/24");
  });

  test("a program that changes its user ends with all that it has started", async () => {
    const change = "setpriv --reuid 1234 --regid 1234 --clear-groups";
    const taskId = await run(`${change} sleep 2205 & exec ${change} sleep 2205`, {
      user: "0:0",
      capAdd: ["SETUID", "SETGID"],
    });
    await until("both run", () => processes("2205") === 2);
    await lab.runtime.stop(taskId, 5000);
    await until("nothing of it is left", () => processes("2205") === 0);
    expect(await lab.runtime.inspect(taskId)).toMatchObject({ state: "exited", exitCode: 143 });
  });

  test("removing leaves no process, no cgroup and no file", async () => {
    const taskId = await run("sleep 2203 & sleep 2203");
    await lab.runtime.remove(taskId);
    expect(processes("2203")).toBe(0);
    expect(readdirSync(join(lab.dir, "data", "process", "tasks"))).toEqual([]);
    const name = `orchd-process-${lab.nodeId}/${taskId}`;
    for (const kind of ["memory", "cpu", "pids", "freezer", "."]) {
      expect(existsSync(`/sys/fs/cgroup/${kind}/${name}`)).toBe(false);
    }
  });
});

const has = (name: string) => (directory: string) => existsSync(join(directory, name));

/** Moments of a start, as a task's directory shows them. */
const MOMENTS = {
  "it is planned": has("plan.json"),
  "its chain is written": has("inside.sh"),
  "its chain is on its way": has("begun"),
  "it is known": has("process.json"),
  "it has begun": (directory: string) =>
    has("begun")(directory) && statSync(join(directory, "begun")).size > 0,
};

/** Processes of the machine that have this among their words. */
function processes(word: string): number {
  return readdirSync("/proc").filter((entry) => {
    try {
      const words = readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0");
      return /^\d+$/.test(entry) && words.includes(word);
    } catch {
      // No process, or one that has ended meanwhile.
      return false;
    }
  }).length;
}
