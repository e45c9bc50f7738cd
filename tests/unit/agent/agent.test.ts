import { describe, expect, test } from "bun:test";
import { OrchdError } from "../../../src/lib/errors.ts";
import type { Runtime } from "../../../src/runtime/driver.ts";
import { aContainer, anAssignment, anId, aPort, aVolumeMount } from "../../builders.ts";
import { NO_FAULTS } from "../../sim/faults.ts";
import { Rig, withMethods as withOwn } from "./rig.ts";

const steady = (image = "steady:1") => aContainer({ image, networkMode: "none", stopGraceMs: 500 });
const task = (name: string, over: Parameters<typeof anAssignment>[1] = {}) =>
  anAssignment(name, { container: steady(), ...over });

async function aRig(): Promise<Rig> {
  const rig = new Rig();
  await rig.start();
  return rig;
}

/** The runtime, but for some of its methods. */
function withMethods(over: (runtime: Runtime) => Partial<Runtime>) {
  return (runtime: Runtime): Runtime => withOwn(runtime, over(runtime));
}

/** The runtime, with `start` that does its work and then says something else. */
function startThenThrow(error: () => Error) {
  return withMethods((runtime) => ({
    start: async (taskId) => {
      await runtime.start(taskId);
      throw error();
    },
  }));
}

/** A container of task t that was started on the machine. */
function started(rig: Rig) {
  const container = rig.machine.create(task("t", { container: steady("job:1") }));
  rig.machine.start(container);
  return container;
}

describe("an agent that is given a task", () => {
  test("makes and starts its container, and says how far it is", async () => {
    const rig = await aRig();
    await rig.assign(task("t"));
    expect(rig.happened).toEqual(["created t", "started t"]);
    expect(rig.heard).toEqual(["t preparing", "t starting", "t running"]);
  });

  test("does nothing more for a set that says the same", async () => {
    const rig = await aRig();
    await rig.assign(task("t"));
    await rig.assign(task("t"));
    expect(rig.happened).toEqual(["created t", "started t"]);
  });

  test("ends it when it is to be shut down, and keeps its container", async () => {
    const rig = await aRig();
    await rig.assign(task("t"));
    await rig.assign(task("t", { desired: "shutdown" }));
    expect(rig.heard.at(-1)).toBe("t shutdown");
    expect(rig.container("t")?.state).toBe("exited");
  });

  test("removes everything of it when it is to be removed, and forgets it after that", async () => {
    const rig = await aRig();
    await rig.assign(task("t"));
    await rig.assign(task("t", { desired: "removed" }));
    expect([rig.heard.at(-1), rig.container("t")]).toEqual(["t removed", undefined]);
    await rig.assign();
    expect(rig.disk.statuses.size).toBe(0);
  });

  test("says within a moment that its container crashed", async () => {
    const rig = await aRig();
    await rig.assign(task("t"));
    const container = rig.container("t");
    if (container !== undefined) rig.machine.exit(container, 137);
    await rig.pass(3000);
    expect(rig.latest.get(anId("t"))).toMatchObject({
      state: "failed",
      exitCode: 137,
      message: "was killed by SIGKILL (code 137)",
    });
  });

  test("says that its container was removed by somebody else", async () => {
    const rig = await aRig();
    await rig.assign(task("t"));
    const container = rig.container("t");
    if (container !== undefined) rig.machine.remove(container);
    await rig.pass(3000);
    expect(rig.latest.get(anId("t"))?.message).toBe("its container was removed by somebody else");
  });
});

describe("a task that can't start", () => {
  test("is rejected when its image can't be had", async () => {
    const rig = await aRig();
    await rig.assign(task("t", { container: steady("missing:1") }));
    expect(rig.latest.get(anId("t"))).toMatchObject({
      state: "rejected",
      message: "no registry has this image",
    });
  });

  test("is rejected without asking a registry when the file says so", async () => {
    const rig = await aRig();
    const container = { ...steady("missing:1"), pullPolicy: "never" as const };
    await rig.assign(task("t", { container }));
    expect(rig.latest.get(anId("t"))?.message).toBe("there is no such image");
  });

  test("is rejected when its program is not in the image", async () => {
    const rig = await aRig();
    await rig.assign(task("t", { container: steady("broken:1") }));
    expect(rig.latest.get(anId("t"))?.state).toBe("rejected");
  });

  test("waits while the runtime is away, and starts when it is back", async () => {
    const rig = await aRig();
    rig.machine.leave();
    await rig.assign(task("t"));
    const waiting = rig.latest.get(anId("t"));
    expect(waiting?.state).toBe("preparing");
    expect(waiting?.message).toContain("the runtime does not answer");
    rig.machine.comeBack();
    await rig.pass(40_000);
    expect(rig.latest.get(anId("t"))).toMatchObject({ state: "running", message: "" });
  });
});

describe("a start whose answer is wrong", () => {
  test("counts when the container runs all the same", async () => {
    const rig = new Rig();
    await rig.start(startThenThrow(() => new OrchdError("runtime", "it failed, says the runtime")));
    await rig.assign(task("t"));
    expect(rig.heard).toEqual(["t preparing", "t starting", "t running"]);
  });

  test("is not repeated when the program has ended by then", async () => {
    const rig = new Rig();
    const away = () => new OrchdError("unreachable", "no answer", { retryable: true });
    await rig.start(startThenThrow(away));
    await rig.assign(task("t", { container: steady("job:1") }));
    await rig.pass(60_000);
    expect(rig.happened.filter((what) => what === "started t")).toEqual(["started t"]);
    expect(rig.heard.at(-1)).toBe("t complete");
  });
});

describe("an agent that was killed", () => {
  test("adopts what runs, and starts nothing again", async () => {
    const rig = await aRig();
    await rig.assign(task("t"));
    rig.kill();
    await rig.start();
    expect(rig.happened).toEqual(["created t", "started t"]);
    expect(rig.latest.get(anId("t"))?.state).toBe("running");
  });

  test("goes on without a server, with what it was last told", async () => {
    const rig = await aRig();
    rig.serverIsAway = true;
    rig.agent?.assign({ generation: 1, assignments: [task("t")] });
    rig.kill();
    await rig.start();
    await rig.pass(5000);
    expect(rig.happened).toEqual(["created t", "started t"]);
  });

  test("tells of an end that came while it was away", async () => {
    const rig = await aRig();
    await rig.assign(task("t"));
    rig.kill();
    const container = rig.container("t");
    if (container !== undefined) rig.machine.exit(container, 1);
    await rig.start();
    expect(rig.latest.get(anId("t"))).toMatchObject({ state: "failed", exitCode: 1 });
  });

  test("does not start a task again whose container is gone", async () => {
    const rig = await aRig();
    await rig.assign(task("t"));
    rig.kill();
    const container = rig.container("t");
    if (container !== undefined) rig.machine.remove(container);
    await rig.start();
    await rig.pass(10_000);
    expect(rig.latest.get(anId("t"))?.state).toBe("failed");
    expect(rig.happened.filter((what) => what === "started t")).toHaveLength(1);
  });

  test("does not repeat a start that its last life began and the runtime did later", async () => {
    const rig = new Rig();
    const wanted = task("t", { container: steady("job:1") });
    rig.disk.set = { generation: 1, assignments: [wanted] };
    rig.machine.exit(started(rig), 0);
    const stale = withMethods((runtime) => ({
      // The list was made before the start, and arrives after it.
      list: async () =>
        (await runtime.list()).map(({ taskId, containerId }) => {
          return { taskId, containerId, state: "created" };
        }),
    }));
    await rig.start(stale);
    await rig.pass(10_000);
    expect(rig.happened).toEqual(["created t", "started t", "exited t"]);
    expect(rig.latest.get(anId("t"))?.state).toBe("complete");
  });

  test("removes containers that nobody wants any more", async () => {
    const rig = await aRig();
    await rig.assign(task("t"));
    rig.kill();
    rig.disk.set = { generation: 1, assignments: [] };
    await rig.start();
    await rig.pass(5000);
    expect(rig.container("t")).toBeUndefined();
  });
});

describe("what must not confuse an agent", () => {
  test("an assignment set of an older generation is refused", async () => {
    const rig = await aRig();
    await rig.assignSet({ generation: 5, assignments: [task("t")] });
    await rig.assignSet({ generation: 4, assignments: [] });
    expect(rig.container("t")?.state).toBe("running");
  });

  test("the first set of a new session counts, and the server hears of every task", async () => {
    const rig = await aRig();
    await rig.assignSet({ generation: 5, assignments: [task("t")] });
    rig.heard.length = 0;
    rig.events?.onResume();
    await rig.assignSet({ generation: 4, assignments: [task("t"), task("u")] });
    expect(rig.heard).toEqual(["t running", "u preparing", "u starting", "u running"]);
    expect(rig.happened.filter((what) => what === "started t").length).toBe(1);
  });

  test("a set that its disk has no room for is acted on once it has", async () => {
    const rig = await aRig();
    rig.diskIsFull = true;
    await rig.assign(task("t"));
    expect(rig.happened).toEqual([]);
    rig.diskIsFull = false;
    await rig.pass(6000);
    expect(rig.heard.at(-1)).toBe("t running");
  });

  test("a start waits until the disk holds that it is coming", async () => {
    const rig = await aRig();
    rig.agent?.assign({ generation: 1, assignments: [task("t")] });
    rig.diskIsFull = true;
    await rig.pass(5000);
    expect(rig.happened).toEqual(["created t"]);
    rig.diskIsFull = false;
    await rig.pass(10_000);
    expect(rig.happened).toEqual(["created t", "started t"]);
  });

  test("a runtime that fails one look is looked at again", async () => {
    const rig = new Rig();
    rig.faults = { ...NO_FAULTS, callFails: 1 };
    await rig.start();
    await rig.assign(task("t"));
    expect(rig.heard).toEqual([]);
    rig.faults = NO_FAULTS;
    await rig.pass(10_000);
    expect(rig.heard.at(-1)).toBe("t running");
  });

  test("a runtime that was away hides no crash from it", async () => {
    const rig = await aRig();
    await rig.assign(task("t"));
    rig.machine.leave();
    const container = rig.container("t");
    if (container !== undefined) rig.machine.exit(container, 1);
    await rig.pass(3000);
    rig.machine.comeBack();
    await rig.pass(3000);
    expect(rig.heard.at(-1)).toBe("t failed");
  });

  test("a container of an ended task that somebody starts again is stopped", async () => {
    const rig = await aRig();
    await rig.assign(task("t"));
    await rig.assign(task("t", { desired: "shutdown" }));
    const container = rig.container("t");
    if (container !== undefined) rig.machine.start(container);
    await rig.pass(5000);
    expect(rig.container("t")?.state).toBe("exited");
  });

  test("a full disk does not keep it from telling the server", async () => {
    const rig = await aRig();
    await rig.assign(task("t"));
    rig.diskIsFull = true;
    const container = rig.container("t");
    if (container !== undefined) rig.machine.exit(container, 1);
    await rig.pass(3000);
    expect([rig.heard.at(-1), rig.disk.statuses.get(anId("t"))?.state]).toEqual([
      "t failed",
      "running",
    ]);
    rig.diskIsFull = false;
    await rig.pass(3000);
    expect(rig.disk.statuses.get(anId("t"))?.state).toBe("failed");
  });
});

test("an agent that stops leaves every container as it is", async () => {
  const rig = await aRig();
  await rig.assign(task("t"));
  await rig.agent?.stop();
  const container = rig.container("t");
  if (container !== undefined) rig.machine.exit(container, 1);
  await rig.pass(10_000);
  expect([rig.heard.at(-1), rig.happened.at(-1)]).toEqual(["t running", "exited t"]);
});

test("a task in no network of orchd's claims no port", async () => {
  const rig = await aRig();
  // Port 1 is nobody's on a test machine, and would be refused to anyone but root.
  await rig.assign(task("t", { ports: [aPort({ published: 1 })] }));
  expect(rig.heard.at(-1)).toBe("t running");
});

test("a volume that a task on its way out holds is not given up", async () => {
  const rig = new Rig();
  let removed = 0;
  const methods = withMethods(() => ({
    removeVolume: async () => void (removed += 1),
  }));
  await rig.start(methods);
  await rig.assign(task("t", { container: { ...steady(), mounts: [aVolumeMount("data")] } }));
  const tries = async () => {
    const answer = rig.agent?.removeVolumes(["data"]).catch((error: unknown) => error);
    await rig.pass(100);
    return answer;
  };
  expect(await tries()).toMatchObject({ code: "conflict", retryable: true });
  await rig.assign();
  expect([await tries(), removed]).toEqual([undefined, 1]);
});
