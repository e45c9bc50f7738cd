import { expect, test } from "bun:test";
import { OrchdError } from "../../../src/lib/errors.ts";
import type { Limits } from "../../../src/model/container.ts";
import type { Runtime } from "../../../src/runtime/driver.ts";
import { aContainer, anAssignment, anId } from "../../builders.ts";
import { Rig, withMethods } from "./rig.ts";

const container = aContainer({ image: "steady:1", networkMode: "none", stopGraceMs: 500 });
const task = (limits?: Limits) =>
  anAssignment("t", { container, ...(limits === undefined ? {} : { limits }) });

/** An agent on a runtime that notes what it is to hold containers to. */
async function aRig(limit: () => Promise<void> = async () => {}) {
  const rig = new Rig();
  const asked: Limits[] = [];
  const made: Limits[] = [];
  const wrap = (runtime: Runtime) =>
    withMethods(runtime, {
      limit: async (_, limits) => {
        asked.push(limits);
        await limit();
      },
      create: async (options) => {
        made.push(options.assignment.resources.limits);
        return runtime.create(options);
      },
    });
  const start = async () => rig.start(wrap);
  await start();
  return { rig, asked, made, start };
}

test("a task that runs is held to other limits, once, and starts nothing again", async () => {
  const { rig, asked } = await aRig();
  await rig.assign(task());
  await rig.assign(task({ memoryBytes: 200 }));
  await rig.assign(task({ memoryBytes: 200 }));
  expect(asked).toEqual([{ memoryBytes: 200 }]);
  await rig.assign(task({}));
  expect(asked).toEqual([{ memoryBytes: 200 }, {}]);
  expect(rig.happened).toEqual(["created t", "started t"]);
});

test("a container is made with the limits that hold by then", async () => {
  const { rig, asked, made } = await aRig();
  await rig.assign(task({ memoryBytes: 200 }));
  expect([made, asked]).toEqual([[{ memoryBytes: 200 }], []]);
});

test("an agent that starts again makes sure of them, since it may have missed it", async () => {
  const { rig, asked, start } = await aRig();
  await rig.assign(task({ memoryBytes: 200 }));
  rig.kill();
  await start();
  await rig.assign(task({ memoryBytes: 200 }));
  expect(asked).toEqual([{ memoryBytes: 200 }]);
});

test("limits that the kernel refuses are told, and not tried again", async () => {
  const { rig, asked } = await aRig(async () => {
    throw new OrchdError("runtime", "the kernel says no");
  });
  await rig.assign(task());
  await rig.assign(task({ memoryBytes: 1 }));
  await rig.pass(60_000);
  expect(asked).toHaveLength(1);
  expect(rig.latest.get(anId("t"))).toMatchObject({
    state: "running",
    message: "its limits stay as they were until it is restarted: the kernel says no",
  });
});

test("while the runtime is away they are tried again", async () => {
  let isAway = true;
  const { rig, asked } = await aRig(async () => {
    if (isAway) throw new OrchdError("unreachable", "nobody answers", { retryable: true });
  });
  await rig.assign(task());
  await rig.assign(task({ memoryBytes: 200 }));
  isAway = false;
  await rig.pass(60_000);
  expect(asked.length).toBeGreaterThan(1);
  const { length } = asked;
  await rig.pass(60_000);
  expect(asked).toHaveLength(length);
});
