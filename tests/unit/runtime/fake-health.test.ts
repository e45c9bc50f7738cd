import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../src/lib/random.ts";
import { FakeRuntime } from "../../../src/runtime/fake/fake-runtime.ts";
import { failureOf } from "../../conformance/runtime-until.ts";
import { aContainer, anAssignment, anId } from "../../builders.ts";
import { settled, VirtualClock } from "../../sim/virtual-clock.ts";

describe("a fake container", () => {
  test("passes its checks as its labels say, and none when it does not run", async () => {
    const clock = new VirtualClock(0);
    const runtime = new FakeRuntime({ clock, random: seededRandom("fake") });
    const labels = { "orchd.fake/healthy-after": "2s", "orchd.fake/unhealthy-after": "5s" };
    await runtime.create({ assignment: anAssignment("t", { container: aContainer({ labels }) }) });
    expect((await failureOf(runtime.answer(anId("t")))).message).toContain("does not run");
    await runtime.start(anId("t"));
    const answers: boolean[] = [];
    for (let second = 0; second < 7; second++) {
      answers.push((await runtime.answer(anId("t"))).ok);
      clock.after(1000, () => {});
      await settled();
      await clock.step(Infinity);
    }
    expect(answers).toEqual([false, false, true, true, true, false, false]);
    expect(await runtime.run(anId("t"))).toMatchObject({ end: "exited", exitCode: 1 });
  });
});
