import { expect, test } from "bun:test";
import type { Runtime } from "../../../../src/runtime/driver.ts";
import { aContainer, anAssignment, aVolumeMount } from "../../../builders.ts";
import { wrap } from "../../../sim/wrap.ts";
import { Rig } from "../rig.ts";

const steady = aContainer({
  image: "steady:1",
  networkMode: "none",
  mounts: [aVolumeMount("data")],
});

/** Asks for the removal of the volume; answers what came of it within a second, if anything. */
async function removal(rig: Rig): Promise<string> {
  let answer = "none yet";
  void rig.agent?.removeVolumes(["data"]).then(
    () => (answer = "gone"),
    (error: unknown) => (answer = String(error)),
  );
  await rig.pass(1000);
  return answer;
}

test("a volume stays while a container with it is being made, wanted or not", async () => {
  const rig = new Rig();
  const slow = Promise.withResolvers<void>();
  await rig.start((runtime) =>
    wrap<Runtime>(runtime, {
      create: async (options) => {
        await slow.promise;
        return await runtime.create(options);
      },
    }),
  );
  await rig.assign(anAssignment("t", { container: steady }));
  await rig.assign();
  expect(await removal(rig)).toContain("the volume data may still be in use");
  slow.resolve();
  await rig.pass(5000);
  expect([await removal(rig), rig.machine.volumes.size]).toEqual(["gone", 0]);
});

test("a volume of a task that runs stays, also where the runtime would remove it", async () => {
  const rig = new Rig();
  const orders: string[] = [];
  await rig.start((runtime) =>
    wrap<Runtime>(runtime, { removeVolume: async (name) => void orders.push(name) }),
  );
  await rig.assign(anAssignment("t", { container: steady }));
  expect([await removal(rig), orders]).toEqual([
    expect.stringContaining("the volume data may still be in use"),
    [],
  ]);
  await rig.assign({ ...anAssignment("t", { container: steady }), desired: "removed" });
  expect([await removal(rig), orders]).toEqual(["gone", ["data"]]);
});

test("an order to remove a volume that is under way is waited for, not given again", async () => {
  const rig = new Rig();
  const slow = Promise.withResolvers<void>();
  let orders = 0;
  await rig.start((runtime) =>
    wrap<Runtime>(runtime, {
      removeVolume: async () => {
        orders += 1;
        await slow.promise;
      },
    }),
  );
  expect([await removal(rig), await removal(rig), orders]).toEqual(["none yet", "none yet", 1]);
  slow.resolve();
  await rig.pass(1);
  expect([await removal(rig), orders]).toEqual(["gone", 2]);
});
