import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeHelloImage } from "../../scripts/image.ts";
import { systemClock } from "../../src/lib/clock.ts";
import type { ContainerSpec } from "../../src/model/container.ts";
import type { NodeId, TaskId } from "../../src/model/ids.ts";
import { ContainerdRuntime } from "../../src/runtime/containerd/containerd-runtime.ts";
import { hasContainerd, makeContainerdLab, type ContainerdLab } from "./runtime-containerd-lab.ts";
import { takeArchive } from "./runtime-take.ts";
import { aTask } from "./runtime-task.ts";
import { failureOf, until } from "./runtime-until.ts";

const TIMEOUT_MS = 60_000;
const SUITE = "containerd, its restarts and its other users";
const TICKS = "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.15; done";

describe(SUITE, () => {
  if (!hasContainerd(SUITE)) return;
  let lab: ContainerdLab;

  beforeAll(async () => {
    lab = await makeContainerdLab("orchdt7", "10.213.7");
    await lab.runtime.ensureNetwork(lab.network);
  }, TIMEOUT_MS);

  afterAll(async () => {
    await lab.close();
  }, TIMEOUT_MS);

  const started = async (script: string, change: Partial<ContainerSpec> = {}) => {
    const command = ["/bin/sh", "-c", script];
    const assignment = aTask(lab.image, {}, { command, ...change });
    await lab.runtime.create({ assignment });
    await lab.runtime.start(assignment.taskId);
    return assignment;
  };
  const linesOf = async (taskId: TaskId, runtime = lab.runtime): Promise<string[]> => {
    const texts: string[] = [];
    const { signal } = new AbortController();
    for await (const { text } of runtime.logs(taskId, { follow: true }, signal)) texts.push(text);
    return texts;
  };
  const endOf = (taskId: TaskId, runtime = lab.runtime) =>
    until("the container's end", async () => {
      const status = await runtime.inspect(taskId);
      return status?.state === "exited" && status;
    });

  test("containers of another node and of others are neither listed nor touched", async () => {
    const other = await ContainerdRuntime.open({
      ...lab.options(),
      nodeId: "zzzzzzzzzzzz" as NodeId,
      dataDir: join(lab.dir, "other"),
    });
    const assignment = aTask(lab.image);
    await other.create({ assignment });
    expect(await lab.runtime.list()).toEqual([]);
    expect(await lab.runtime.inspect(assignment.taskId)).toBeUndefined();
    const error = await failureOf(lab.runtime.create({ assignment }));
    expect(error.code).toBe("conflict");
    await lab.runtime.remove(assignment.taskId);
    expect(await other.list()).toHaveLength(1);
    await other.remove(assignment.taskId);
    await other.close();
  });

  test("a task that ended while containerd was away has its code and its log", async () => {
    const { taskId } = await started("echo before; sleep 0.4; echo after; exit 6");
    await lab.halt();
    const pid = shimsOf(taskId).length;
    expect(pid).toBe(1);
    expect((await failureOf(lab.runtime.inspect(taskId))).code).toBe("unreachable");
    await until("its last line", () => outputOf(lab, taskId).includes("after"));
    await lab.resume();
    await until("containerd", () => lab.runtime.info().then(Boolean, () => false));
    expect(await endOf(taskId)).toMatchObject({ exitCode: 6 });
    expect(await linesOf(taskId)).toEqual(["before", "after"]);
    await lab.runtime.remove(taskId);
  });

  test("a followed log goes on while containerd is killed and comes back", async () => {
    const { taskId } = await started(TICKS);
    const texts: string[] = [];
    const { signal } = new AbortController();
    for await (const line of lab.runtime.logs(taskId, { follow: true }, signal)) {
      texts.push(line.text);
      if (texts.length === 2) await lab.interrupt();
    }
    expect(texts).toEqual(["1", "2", "3", "4", "5", "6", "7", "8"]);
    await lab.runtime.remove(taskId);
  });

  test("kill -9 of orchd stops no container, and of its output nothing is lost", async () => {
    const command = ["/bin/sh", "-c", `${TICKS}; exit 3`];
    const assignment = aTask(lab.image, {}, { command });
    const child = Bun.spawn(
      [process.execPath, fileURLToPath(import.meta.resolve("./runtime-containerd-victim.ts"))],
      {
        env: { ...process.env, VICTIM: JSON.stringify({ ...lab.options(), assignment }) },
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    for await (const chunk of child.stdout) if (chunk.length > 0) break;
    child.kill("SIGKILL");
    await child.exited;
    const { taskId } = assignment;
    await until("its last line", () => outputOf(lab, taskId).includes("8"));
    const again = await ContainerdRuntime.open(lab.options());
    expect(await endOf(taskId, again)).toMatchObject({ exitCode: 3 });
    expect(await linesOf(taskId, again)).toEqual(["1", "2", "3", "4", "5", "6", "7", "8"]);
    await again.remove(taskId);
    await again.close();
  });

  test("what was left half made or half removed is gone with the next start", async () => {
    const assignment = aTask(lab.image);
    await lab.runtime.create({ assignment });
    await lab.ctr("container", "delete", "--keep-snapshot", assignment.taskId);
    const snapshots = () => lab.ctr("snapshot", "list");
    expect(await snapshots()).toContain(assignment.taskId);
    const again = await lab.reopen();
    expect(await snapshots()).not.toContain(assignment.taskId);
    expect(existsSync(join(lab.dir, "data/containerd/containers", assignment.taskId))).toBe(false);
    await again.create({ assignment });
    await again.remove(assignment.taskId);
  });

  test("an ended container has no process, and nothing is left of a removed one", async () => {
    const { taskId } = await started("exit 0");
    await endOf(taskId);
    expect(shimsOf(taskId)).toEqual([]);
    await lab.runtime.remove(taskId);
    expect(await lab.ctr("task", "list", "--quiet")).toBe("");
    expect(await lab.ctr("container", "list", "--quiet")).toBe("");
    expect(existsSync(`/run/containerd/runc/orchd/${taskId}`)).toBe(false);
  });

  test("a bridge that was removed comes back with the next task, with its address", async () => {
    await Bun.$`ip link delete dev ${lab.network.name}`.quiet();
    const assignment = aTask(lab.image, {}, { networkMode: "bridge" });
    await lab.runtime.create({ assignment, address: "10.213.7.9" });
    await lab.runtime.start(assignment.taskId);
    expect(networkInterfaces()[lab.network.name]?.[0]?.mac).toBe("0a:6f:0a:d5:07:01");
    const pinged = await Bun.$`ping -c 1 -W 5 10.213.7.9`.quiet().nothrow();
    expect(Bun.which("ping") === null ? 0 : pinged.exitCode).toBe(0);
    await lab.runtime.remove(assignment.taskId);
  });

  test("a task in another one's network has its address and its links", async () => {
    const address = "10.213.7.10";
    const owner = aTask(lab.image, {}, { networkMode: "bridge" });
    const networkTask = owner.taskId;
    const command = ["/bin/sh", "-c", "cat /etc/hosts; readlink /proc/self/ns/net"];
    const guest = aTask(lab.image, {}, { networkMode: "service", networkOf: "web", command });
    await lab.runtime.create({ assignment: owner, address });
    const early = await failureOf(lab.runtime.create({ assignment: guest, networkTask }));
    expect(early).toMatchObject({ code: "unreachable", retryable: true });
    await lab.runtime.start(networkTask);
    await lab.runtime.create({ assignment: guest, networkTask });
    await lab.runtime.start(guest.taskId);
    expect(await lab.runtime.inspect(guest.taskId)).toMatchObject({ networkTask });
    const lines = await linesOf(guest.taskId);
    expect(lines).toContain(`${address}\t${guest.taskId}`);
    const tasks = (await lab.ctr("task", "list")).split("\n").map((line) => line.split(/\s+/));
    const pid = tasks.find(([id]) => id === networkTask)?.[1] ?? "";
    const network = (await Bun.$`readlink /proc/${pid}/ns/net`.text()).trim();
    expect(lines.at(-1)).toBe(network);
    for (const { taskId } of [guest, owner]) await lab.runtime.remove(taskId);
  });

  test("a task that is frozen can be stopped and removed", async () => {
    const stopped = await started("trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done");
    const removed = await started("while :; do sleep 0.05; done");
    for await (const _ of lab.runtime.logs(
      stopped.taskId,
      { follow: true },
      new AbortController().signal,
    )) {
      break;
    }
    for (const { taskId } of [stopped, removed]) {
      await lab.runtime.freeze(taskId);
      await lab.runtime.freeze(taskId);
      expect(await lab.runtime.inspect(taskId)).toMatchObject({ state: "running" });
    }
    await lab.runtime.stop(stopped.taskId, 5000);
    expect(await lab.runtime.inspect(stopped.taskId)).toMatchObject({ exitCode: 0 });
    await lab.runtime.thaw(removed.taskId);
    await lab.runtime.thaw(removed.taskId);
    for (const { taskId } of [stopped, removed]) await lab.runtime.remove(taskId);
    expect(await lab.runtime.list()).toEqual([]);
  });

  test("the usual container has few rights, few system calls, and hidden paths", async () => {
    const script = [
      "grep -E '^(CapEff|CapBnd|Seccomp|NoNewPrivs):' /proc/self/status | cut -f2",
      "mount | grep -qE ' on (/proc/keys|/proc/timer_list|/sys/firmware) ' && echo hidden",
      "(echo 1 > /proc/sys/kernel/panic) 2>/dev/null || echo read-only",
    ].join("; ");
    const { taskId } = await started(script);
    expect(await linesOf(taskId)).toEqual([
      "00000000800405fb",
      "00000000800405fb",
      "0",
      "2",
      "hidden",
      "read-only",
    ]);
    await lab.runtime.remove(taskId);
  });

  test("a user by name has its group, its other groups and its home", async () => {
    const { taskId } = await started("id -u; id -G; echo $HOME", { user: "web" });
    expect(await linesOf(taskId)).toEqual(["1000", "1001 29", "/srv"]);
    await lab.runtime.remove(taskId);
  });

  test("a new volume has what the image has there, and one with files keeps its own", async () => {
    const volume = {
      type: "volume" as const,
      volume: "filled",
      target: "/srv",
      readOnly: false,
      noCopy: false,
      external: false,
      driverOptions: {},
      labels: {},
    };
    await lab.runtime.ensureVolume(volume);
    const first = await started("cat /srv/index; echo mine > /srv/index", { mounts: [volume] });
    expect(await linesOf(first.taskId)).toEqual(["from the image"]);
    const second = await started("cat /srv/index", { mounts: [volume] });
    expect(await linesOf(second.taskId)).toEqual(["mine"]);
    for (const { taskId } of [first, second]) await lab.runtime.remove(taskId);
    await lab.runtime.removeVolume("filled");
    await mkdir(join(lab.dir, "data/containerd/volumes/precious/_data"), { recursive: true });
    expect((await failureOf(lab.runtime.removeVolume("precious"))).code).toBe("conflict");
  });

  test(
    "a log that is full goes on in a new file, and of the old ones two are kept",
    async () => {
      const line = "x".repeat(1000);
      const script = `i=0; while [ $i -lt 25000 ]; do echo ${line}; i=$((i+1)); done; echo end`;
      const { taskId } = await started(script);
      await endOf(taskId);
      const texts = await linesOf(taskId);
      expect(texts.at(-1)).toBe("end");
      expect(texts.length).toBeGreaterThan(20_000);
      const directory = join(lab.dir, "data/containerd/containers", taskId);
      expect(
        readdirSync(directory)
          .filter((name) => name.startsWith("log"))
          .toSorted(),
      ).toEqual(["log", "log.1", "log.2"]);
      const { blocks } = await Bun.file(join(directory, "stdout")).stat();
      expect(blocks * 512).toBeLessThan(4 * 1024 * 1024);
      await lab.runtime.upkeep.dropOldLogs([taskId]);
      expect(existsSync(join(directory, "log.1"))).toBe(false);
      await lab.runtime.remove(taskId);
    },
    TIMEOUT_MS,
  );

  test("an image that nobody needs goes, and one that a container uses stays", async () => {
    const path = join(lab.dir, "spare.tar");
    writeHelloImage(path, "localhost/orchd-conformance-spare:1");
    await takeArchive(lab.runtime, path);
    const assignment = aTask(lab.image);
    await lab.runtime.create({ assignment });
    const removed = await lab.runtime.upkeep.removeImages([], () => Promise.resolve(false));
    expect(removed).toEqual(["localhost/orchd-conformance-spare:1"]);
    expect(await lab.runtime.hasImage(lab.image)).toBe(true);
    expect(existsSync(await lab.runtime.upkeep.storagePath())).toBe(true);
    await lab.runtime.remove(assignment.taskId);
  });

  test("a socket of nobody, or of something else, is told by its path", async () => {
    const socket = join(lab.dir, "nobody.sock");
    const open = () => ContainerdRuntime.open({ ...lab.options(), clock: systemClock, socket });
    const nobody = await failureOf(open());
    expect(nobody).toMatchObject({ code: "unreachable", retryable: true });
    expect(nobody.message).toContain(socket);
    const other = Bun.serve({ unix: socket, fetch: () => new Response("hello") });
    expect((await failureOf(open())).message).toContain(socket);
    await other.stop(true);
  });

  test("a task whose shim was killed has failed, and runs no more", async () => {
    const { taskId } = await started("while :; do sleep 0.05; done");
    const [shim] = shimsOf(taskId);
    process.kill(Number(shim), "SIGKILL");
    expect(await endOf(taskId)).toMatchObject({ exitCode: 137 });
    await lab.runtime.remove(taskId);
    expect(await lab.runtime.list()).toEqual([]);
  });

  test("after a restart of the machine a container is as new, and starts again", async () => {
    const { taskId } = await started("echo here; while :; do sleep 0.05; done");
    await lab.ctr("task", "delete", "--force", taskId);
    const path = join(lab.dir, "data/containerd/containers", taskId, "state.json");
    await writeFile(path, JSON.stringify({ startedAt: 1, boot: "the one before" }));
    const again = await lab.reopen();
    expect(await again.inspect(taskId)).toMatchObject({ state: "created" });
    await again.start(taskId);
    expect(await again.inspect(taskId)).toMatchObject({ state: "running" });
    await again.remove(taskId);
  });

  test(
    "a containerd of orchd's own comes back when it dies, and is taken over by the next orchd",
    async () => {
      const runDir = join(lab.dir, "run-own");
      const dirs = { runDir, dataDir: join(lab.dir, "data-own") };
      const systemSocket = join(lab.dir, "no-system.sock");
      const options = { nodeId: lab.nodeId, clock: systemClock, systemSocket, ...dirs };
      const first = await ContainerdRuntime.open(options);
      await takeArchive(first, lab.archivePath);
      const assignment = aTask(lab.image);
      const { taskId } = assignment;
      await first.create({ assignment });
      await first.start(taskId);
      const pidOfOwn = () => processesWith("containerd", join(runDir, "containerd.toml"))[0];
      const pid = pidOfOwn();
      const second = await ContainerdRuntime.open(options);
      expect(pidOfOwn()).toBe(pid);
      const enough = new AbortController();
      let resyncs = 0;
      const reading = (async () => {
        for await (const { type } of second.events(enough.signal)) if (type === "resync") resyncs++;
      })();
      await until("the first resync", () => resyncs === 1);
      process.kill(Number(pid), "SIGKILL");
      await until("the second resync", () => resyncs === 2);
      expect(pidOfOwn()).not.toBe(pid);
      expect(await second.inspect(taskId)).toMatchObject({ state: "running" });
      await second.remove(taskId);
      enough.abort();
      await reading;
      await first.close();
      await second.close();
      expect(pidOfOwn()).toBeUndefined();
    },
    TIMEOUT_MS,
  );

  test("a container that lost its directory still runs and can be removed", async () => {
    const { taskId } = await started("while :; do sleep 0.05; done");
    await writeFile(join(lab.dir, "data/containerd/containers", taskId, "state.json"), "{");
    const again = await lab.reopen();
    expect(await again.inspect(taskId)).toMatchObject({ state: "running" });
    await again.stop(taskId, 0);
    expect(await again.inspect(taskId)).toMatchObject({ state: "exited", exitCode: 137 });
    await again.remove(taskId);
    expect(await lab.runtime.list()).toEqual([]);
  });
});

/** What the container has printed so far, whoever has read it. */
function outputOf({ dir }: ContainerdLab, taskId: TaskId): string {
  const directory = join(dir, "data/containerd/containers", taskId);
  const path = join(directory, "stdout");
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

/** containerd's own processes for one container. */
function shimsOf(taskId: TaskId): string[] {
  return processesWith("containerd-shim-runc-v2", taskId);
}

/** Processes of a program that have the word on their command line. */
function processesWith(program: string, word: string): string[] {
  return readdirSync("/proc").filter((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      const words = readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0");
      return words[0]?.split("/").at(-1) === program && words.includes(word);
    } catch {
      // It has ended meanwhile.
      return false;
    }
  });
}
