import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeHelloImage } from "../../scripts/image.ts";
import { systemClock } from "../../src/lib/clock.ts";
import type { NodeId, TaskId } from "../../src/model/ids.ts";
import type { RuntimeEvent } from "../../src/runtime/driver.ts";
import { PodmanRuntime } from "../../src/runtime/podman/podman-runtime.ts";
import { hasPodman, makePodmanLab, servicePid, type PodmanLab } from "./runtime-podman-lab.ts";
import { aTask } from "./runtime-task.ts";
import { failureOf, until } from "./runtime-until.ts";

const TIMEOUT_MS = 60_000;

describe("Podman, its service and its other users", () => {
  if (!hasPodman("Podman, its service and its other users")) return;
  let lab: PodmanLab;

  beforeAll(async () => {
    lab = await makePodmanLab("orchdt1", "10.213.1");
    await lab.runtime.ensureNetwork(lab.network);
  }, TIMEOUT_MS);

  afterAll(async () => {
    await lab.close();
  }, TIMEOUT_MS);

  /** The monitor and the main process of a task's container. */
  async function pidsOf(taskId: TaskId): Promise<[number, number]> {
    const { containerId = "" } = (await lab.runtime.inspect(taskId)) ?? {};
    const format = "{{.State.ConmonPid}} {{.State.Pid}}";
    const pids = await lab.podman("inspect", "--format", format, containerId);
    const [monitor = 0, main = 0] = pids.split(" ").map(Number);
    return [monitor, main];
  }

  test(
    "the end of a program whose monitor was killed before is noticed within ten seconds",
    async () => {
      const seen: RuntimeEvent[] = [];
      const enough = new AbortController();
      const reading = (async () => {
        for await (const event of lab.runtime.events(enough.signal)) seen.push(event);
      })();
      await until("the events", () => seen.length > 0);
      const { taskId } = await startedIn(lab.runtime, lab);
      const isOf = (type: string) => (event: RuntimeEvent) =>
        event.type === type && "taskId" in event && event.taskId === taskId;
      await until("word of its start", () => seen.some(isOf("started")));
      const [monitor, main] = await pidsOf(taskId);
      process.kill(monitor, "SIGKILL");
      await until("the monitor's end", () => !isAlive(monitor));
      expect(await lab.runtime.inspect(taskId)).toMatchObject({ state: "running" });
      process.kill(main, "SIGKILL");
      await until("word of it", () => seen.some(isOf("exited")));
      const ended = { taskId, state: "exited", exitCode: 255 };
      expect(await lab.runtime.inspect(taskId)).toMatchObject(ended);
      const { runtime } = lab;
      expect((await runtime.list()).find((one) => one.taskId === taskId)).toMatchObject(ended);
      const again = await lab.reopen();
      expect((await again.list()).find((one) => one.taskId === taskId)).toMatchObject(ended);
      enough.abort();
      await reading;
      await runtime.remove(taskId);
      expect(await runtime.inspect(taskId)).toBeUndefined();
    },
    TIMEOUT_MS,
  );

  test(
    "a container whose monitor was killed comes to its end when it is stopped",
    async () => {
      const { taskId } = await startedIn(lab.runtime, lab);
      const [monitor, main] = await pidsOf(taskId);
      process.kill(monitor, "SIGKILL");
      await lab.runtime.stop(taskId, 1000);
      expect(await lab.runtime.inspect(taskId)).toMatchObject({ state: "exited" });
      expect(isAlive(main)).toBe(false);
      await lab.runtime.remove(taskId);
    },
    TIMEOUT_MS,
  );

  test("containers of another node on the same Podman are not ours", async () => {
    const other = await PodmanRuntime.open({
      ...lab.options(),
      nodeId: "zzzzzzzzzzzz" as NodeId,
    });
    const assignment = aTask(lab.image);
    await other.create({ assignment });
    expect(await lab.runtime.list()).toEqual([]);
    expect(await lab.runtime.inspect(assignment.taskId)).toBeUndefined();
    await lab.runtime.remove(assignment.taskId);
    expect(await other.list()).toHaveLength(1);
    await other.remove(assignment.taskId);
  });

  test("a volume of somebody else is used as it is and never removed", async () => {
    await lab.podman("volume", "create", "precious");
    const mount = {
      type: "volume" as const,
      volume: "precious",
      target: "/data",
      readOnly: false,
      noCopy: false,
      external: false,
      driverOptions: {},
      labels: {},
    };
    await lab.runtime.ensureVolume(mount);
    const error = await failureOf(lab.runtime.removeVolume("precious"));
    expect(error.code).toBe("conflict");
    expect(await lab.podman("volume", "ls", "--quiet")).toBe("precious");
    await lab.podman("volume", "rm", "precious");
  });

  test("an image that lost its name goes first, but for what a revision is pinned to", async () => {
    const ids = new Map<string, string>();
    for (const name of ["older", "pinned", "spare"]) {
      const path = join(lab.dir, `${name}.tar`);
      const reference = `localhost/orchd-conformance-${name}:1`;
      writeHelloImage(path, reference, { Labels: { name } });
      await lab.podman("load", "--input", path);
      ids.set(name, await lab.podman("image", "inspect", "--format", "{{.Id}}", reference));
      if (name !== "spare") await lab.podman("untag", reference);
    }
    const kept = [lab.image, ids.get("pinned") ?? ""];
    const isThere = async (name: string) =>
      (await lab.runtime.imageIdentity(ids.get(name) ?? "")) !== undefined;
    await lab.runtime.upkeep.removeImages(kept, async () => !(await isThere("older")));
    expect([await isThere("pinned"), await isThere("spare")]).toEqual([true, true]);
    const removed = await lab.runtime.upkeep.removeImages(kept, () => Promise.resolve(false));
    expect(removed).toEqual(["localhost/orchd-conformance-spare:1"]);
    expect([await isThere("older"), await isThere("pinned")]).toEqual([false, true]);
    await lab.podman("rmi", ids.get("pinned") ?? "");
  });

  test("a network that was pruned comes back with the next task", async () => {
    const onBridge = () => aTask(lab.image, {}, { networkMode: "bridge" });
    const before = onBridge();
    await lab.podman("network", "prune", "--force");
    await lab.runtime.create({ assignment: before, address: "10.213.1.9" });
    await rm(join(lab.dir, "networks", `${lab.network.name}.json`));
    await lab.runtime.start(before.taskId);
    expect(await lab.runtime.inspect(before.taskId)).toMatchObject({ state: "running" });
    await lab.runtime.remove(before.taskId);
  });

  test("the bridge keeps its link address while containers come and go", async () => {
    const linkAddress = () => networkInterfaces()[lab.network.name]?.[0]?.mac;
    const tasks = [".11", ".12", ".13"].map((end) => ({
      assignment: aTask(lab.image, {}, { networkMode: "bridge" }),
      address: lab.network.gateway.replace(/\.1$/, end),
    }));
    const seen: (string | undefined)[] = [];
    for (const { assignment, address } of tasks) {
      await lab.runtime.create({ assignment, address });
      await lab.runtime.start(assignment.taskId);
      seen.push(linkAddress());
    }
    for (const { assignment } of tasks) {
      seen.push(linkAddress());
      await lab.runtime.remove(assignment.taskId);
    }
    expect(seen).toEqual(Array.from({ length: 6 }, () => "0a:6f:0a:d5:01:01"));
  });

  test("a task that somebody has paused can be stopped and removed", async () => {
    const stopped = await startedIn(lab.runtime, lab);
    const removed = await startedIn(lab.runtime, lab);
    await lab.podman("pause", "--all");
    await lab.runtime.stop(stopped.taskId, 5000);
    const status = await lab.runtime.inspect(stopped.taskId);
    expect(status).toMatchObject({ state: "exited", exitCode: 0 });
    await lab.runtime.remove(stopped.taskId);
    await lab.runtime.remove(removed.taskId);
    expect(await lab.runtime.list()).toEqual([]);
  });

  test(
    "a second orchd takes over the service, and closing it ends the service alone",
    async () => {
      const dir = await mkdtemp(join(tmpdir(), "orchd-conformance-"));
      try {
        const options = { ...lab.options(), runDir: dir };
        const first = await PodmanRuntime.open(options);
        const pid = await servicePid(join(dir, "podman.sock"));
        const { taskId } = await startedIn(first, lab);
        const second = await PodmanRuntime.open(options);
        expect(await servicePid(join(dir, "podman.sock"))).toBe(pid);
        await second.close();
        await until("the service's end", () => !isAlive(pid));
        expect(await lab.runtime.inspect(taskId)).toMatchObject({ state: "running" });
        await lab.runtime.remove(taskId);
        await first.close();
      } finally {
        await rm(dir, { recursive: true, force: true });
      }
    },
    TIMEOUT_MS,
  );

  test(
    "kill -9 of orchd stops neither its containers nor its service",
    async () => {
      const dir = await mkdtemp(join(tmpdir(), "orchd-conformance-"));
      const assignment = aTask(lab.image);
      const child = Bun.spawn(
        [process.execPath, fileURLToPath(import.meta.resolve("./runtime-podman-victim.ts"))],
        {
          env: {
            ...process.env,
            VICTIM: JSON.stringify({ ...lab.options(), runDir: dir, assignment }),
          },
          stdio: ["ignore", "pipe", "inherit"],
        },
      );
      try {
        for await (const chunk of child.stdout) if (chunk.length > 0) break;
        child.kill("SIGKILL");
        await child.exited;
        const pid = await servicePid(join(dir, "podman.sock"));
        const again = await PodmanRuntime.open({ ...lab.options(), runDir: dir });
        expect(await servicePid(join(dir, "podman.sock"))).toBe(pid);
        expect(await again.list()).toMatchObject([{ taskId: assignment.taskId, state: "running" }]);
        await again.remove(assignment.taskId);
        await again.close();
      } finally {
        await rm(dir, { recursive: true, force: true });
      }
    },
    TIMEOUT_MS,
  );

  test(
    "a service that can't start says why, in its own last words",
    async () => {
      const dir = await mkdtemp(join(tmpdir(), "orchd-conformance-"));
      const flags = ["--root", join(dir, "root"), "--storage-driver", "no-such-driver"];
      const error = await failureOf(PodmanRuntime.open({ ...lab.options(), runDir: dir, flags }));
      expect(error.message).toStartWith("Podman's service did not start: ");
      expect(error.message).toContain("no-such-driver");
      await rm(dir, { recursive: true, force: true });
    },
    TIMEOUT_MS,
  );

  test("a machine without Podman is told what to install", async () => {
    const dir = await mkdtemp(join(tmpdir(), "orchd-conformance-"));
    const environment = { PATH: join(dir, "empty") };
    const options = { ...lab.options(), runDir: dir, environment };
    const error = await failureOf(PodmanRuntime.open(options));
    expect(error.message).toContain("apt install podman runc");
    await rm(dir, { recursive: true, force: true });
  });

  test("a socket that nothing answers on is told by its path", async () => {
    const socket = join(lab.dir, "nobody.sock");
    const error = await failureOf(
      PodmanRuntime.open({ nodeId: lab.nodeId, runDir: lab.dir, clock: systemClock, socket }),
    );
    expect(error).toMatchObject({ code: "unreachable", retryable: true });
    expect(error.message).toContain(socket);
  });

  test(
    "a followed log goes on while the service is killed and comes back",
    async () => {
      const assignment = aTask(lab.image, {}, { command: ["/bin/sh", "-c", TICKS] });
      await lab.runtime.create({ assignment });
      const enough = new AbortController();
      const events = drain(lab.runtime.events(enough.signal));
      await lab.runtime.start(assignment.taskId);
      const texts: string[] = [];
      const { signal } = new AbortController();
      for await (const line of lab.runtime.logs(assignment.taskId, { follow: true }, signal)) {
        texts.push(line.text);
        if (texts.length === 2) await lab.interrupt();
      }
      expect(texts).toEqual(["1", "2", "3", "4", "5", "6", "7", "8"]);
      enough.abort();
      await events;
      await lab.runtime.remove(assignment.taskId);
    },
    TIMEOUT_MS,
  );
});

const TICKS = "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.15; done";

async function startedIn(runtime: PodmanRuntime, lab: PodmanLab) {
  const assignment = aTask(lab.image);
  await runtime.create({ assignment });
  await runtime.start(assignment.taskId);
  return assignment;
}

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    // ESRCH: it has ended.
    return false;
  }
}
