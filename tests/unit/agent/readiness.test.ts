import { describe, expect, test } from "bun:test";
import type { Healthcheck, Probes } from "../../../src/model/probe.ts";
import type { TaskStatus } from "../../../src/model/task.ts";
import type { Runtime } from "../../../src/runtime/driver.ts";
import { aContainer, anAssignment, anId, aProbe, aSpec } from "../../builders.ts";
import { Rig } from "./rig.ts";

const probe = aProbe({ intervalMs: 1000, failures: 3 });
const healthcheck: Healthcheck = {
  disabled: false,
  check: { type: "exec", command: ["is-it-well"] },
  intervalMs: 1000,
  failures: 3,
};

function aTask(probes: Probes, over: Parameters<typeof anAssignment>[1] = {}) {
  const { restart } = aSpec();
  const container = aContainer({
    image: "steady:1",
    networkMode: "none",
    stopGraceMs: 500,
    environment: { TOKEN: "as asked" },
    probes,
  });
  return anAssignment("t", { container, restart, ...over });
}

/** What the server heard of task t, each change once. */
function statusOf(rig: Rig): TaskStatus | undefined {
  return rig.latest.get(anId("t"));
}

function setWell(rig: Rig, isWell: boolean): void {
  const container = rig.container("t");
  if (container === undefined) throw new Error("there is no container of t");
  container.isWell = isWell;
}

async function aNodeWith(probes: Probes): Promise<Rig> {
  const rig = new Rig();
  await rig.start();
  await rig.assign(aTask(probes));
  setWell(rig, true);
  await rig.pass(3000);
  return rig;
}

describe("a task with a health check", () => {
  test("is starting until it passes, then healthy, and both are told", async () => {
    const rig = new Rig();
    await rig.start();
    await rig.assignSet({ generation: 1, assignments: [aTask({ healthcheck })] }, 700);
    setWell(rig, false);
    await rig.pass(300);
    expect(statusOf(rig)).toMatchObject({ state: "running", health: "starting" });
    setWell(rig, true);
    await rig.pass(3000);
    expect(statusOf(rig)).toMatchObject({ state: "running", health: "healthy", message: "" });
  });

  test("is ended when it turns bad, as failed, with what it said and no secret", async () => {
    const rig = await aNodeWith({ healthcheck });
    setWell(rig, false);
    await rig.pass(6000);
    expect(rig.container("t")?.state).toBe("exited");
    expect(statusOf(rig)).toMatchObject({ state: "failed", message: "unhealthy: ***" });
    expect(rig.heard.filter((text) => text === "t failed")).toHaveLength(1);
  });

  test("is told of at the server only when its health changes", async () => {
    const rig = await aNodeWith({ healthcheck });
    const heard = rig.heard.length;
    await rig.pass(60_000);
    expect(rig.heard.length).toBe(heard);
  });

  test("that turns bad with no server in reach is started again there", async () => {
    const rig = await aNodeWith({ healthcheck });
    rig.isLed = false;
    rig.events?.onLost();
    setWell(rig, false);
    await rig.pass(10_000);
    const running = [...rig.machine.containers.values()].filter((one) => one.state === "running");
    expect(running).toHaveLength(1);
    expect(running[0]?.taskId).not.toBe(anId("t"));
  });

  test("stays healthy through a new life of the agent, which goes on asking", async () => {
    const rig = await aNodeWith({ healthcheck });
    rig.kill();
    await rig.start();
    expect(statusOf(rig)?.health).toBe("healthy");
    setWell(rig, false);
    await rig.pass(6000);
    expect(statusOf(rig)?.state).toBe("failed");
  });

  test("that was being ended when the agent died is unhealthy for the next life", async () => {
    const rig = await aNodeWith({ healthcheck });
    setWell(rig, false);
    while (rig.disk.statuses.get(anId("t"))?.ending !== true) await rig.pass(50);
    rig.kill();
    const container = rig.container("t");
    if (container !== undefined) rig.machine.exit(container, 0);
    await rig.start();
    expect(statusOf(rig)).toMatchObject({ state: "failed", message: "unhealthy: ***" });
  });

  test("is not judged any more once it is asked to end", async () => {
    const rig = await aNodeWith({ healthcheck });
    setWell(rig, false);
    await rig.assign(aTask({ healthcheck }, { desired: "shutdown" }));
    expect(statusOf(rig)).toMatchObject({ state: "shutdown", message: "" });
  });
});

describe("a task with probes", () => {
  test("that is not ready goes on without traffic, and has it again when it is", async () => {
    const rig = await aNodeWith({ ready: probe });
    setWell(rig, false);
    await rig.pass(6000);
    expect(statusOf(rig)).toMatchObject({
      state: "running",
      health: "unhealthy",
      message: "not ready: ***",
    });
    setWell(rig, true);
    await rig.pass(3000);
    expect(statusOf(rig)).toMatchObject({ state: "running", health: "healthy", message: "" });
    expect(rig.happened.filter((text) => text === "exited t")).toEqual([]);
  });

  test("that fails live is ended, and was none the less ready before", async () => {
    const rig = await aNodeWith({ live: probe });
    expect(statusOf(rig)).toMatchObject({ state: "running", health: "none" });
    setWell(rig, false);
    await rig.pass(6000);
    expect(statusOf(rig)).toMatchObject({ state: "failed", message: "unhealthy: ***" });
  });

  test("that never starts is ended by startup", async () => {
    const rig = new Rig();
    await rig.start();
    const task = aTask({ startup: probe });
    await rig.assign({ ...task, container: { ...task.container, image: "sick:1" } });
    await rig.pass(5000);
    expect(statusOf(rig)).toMatchObject({ state: "failed", message: "did not start: ***" });
  });
});

describe("what an image says of its health", () => {
  const withImage = (wrapped: Partial<Pick<Runtime, "imageHealthcheck">>) => (runtime: Runtime) =>
    new Proxy(runtime, {
      get(target, key) {
        const own = key === "imageHealthcheck" ? wrapped.imageHealthcheck : undefined;
        const value: unknown = own ?? Reflect.get(target, key);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });

  test("counts where the file says nothing", async () => {
    const rig = new Rig();
    await rig.start(withImage({ imageHealthcheck: async () => healthcheck }));
    await rig.assign(aTask({}));
    setWell(rig, true);
    await rig.pass(3000);
    expect(statusOf(rig)?.health).toBe("healthy");
    setWell(rig, false);
    await rig.pass(6000);
    expect(statusOf(rig)?.state).toBe("failed");
  });

  test("is not asked for where the file says it", async () => {
    const rig = new Rig();
    let asked = 0;
    await rig.start(
      withImage({
        imageHealthcheck: async () => {
          asked += 1;
          return healthcheck;
        },
      }),
    );
    await rig.assign(aTask({ healthcheck: { disabled: true } }));
    expect(statusOf(rig)).toMatchObject({ state: "running", health: "none" });
    expect(asked).toBe(0);
  });

  test("is waited for while the runtime does not say", async () => {
    const rig = new Rig();
    let isThere = false;
    await rig.start(
      withImage({
        imageHealthcheck: async () => {
          if (!isThere) throw new Error("the runtime is away");
          return undefined;
        },
      }),
    );
    await rig.assign(aTask({}));
    expect(statusOf(rig)).toMatchObject({ state: "running", health: "starting" });
    isThere = true;
    await rig.pass(10_000);
    expect(statusOf(rig)).toMatchObject({ state: "running", health: "none" });
  });
});
