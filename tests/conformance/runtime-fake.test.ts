import { systemClock } from "../../src/lib/clock.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { FakeRuntime } from "../../src/runtime/fake/fake-runtime.ts";
import { dockerArchive } from "../unit/images/rig.ts";
import { CANNOT, FAKE_IS_MEMORY } from "./runtime-cannot.ts";
import { runtimeConformance } from "./runtime.ts";
import { skipSuite } from "./skip-suite.ts";
import type { Wire } from "./runtime-wire.ts";

/** It can be away; every answer of it comes within this process. */
function wireOf(runtime: FakeRuntime): Wire {
  const never = () => {
    throw new Error("nothing is between the fake runtime and its caller");
  };
  return {
    cut: () => Promise.resolve(runtime.setReachable(false)),
    mend: () => Promise.resolve(runtime.setReachable(true)),
    hold: never,
    release: never,
    holds: false,
    loseAnswer: never,
    hasLost: false,
  };
}

runtimeConformance(
  "fake",
  async () => {
    const runtime = new FakeRuntime({ clock: systemClock, random: seededRandom("fake") });
    return {
      runtime,
      // Its containers live in the object, which a restarted agent in the same process uses again.
      reopen: () => Promise.resolve(runtime),
      image: "localhost/web:1",
      archive: () => new Blob([dockerArchive(["localhost/web:1"])]).stream(),
      network: { name: "orchdt0", subnet: "10.213.0.0/24", gateway: "10.213.0.1" },
      crash: (taskId) => Promise.resolve(runtime.crash(taskId)),
      removeBehindBack: (taskId) => Promise.resolve(runtime.removeBehindBack(taskId)),
      interrupt: () => {
        runtime.setReachable(false);
        runtime.setReachable(true);
        return Promise.resolve();
      },
      wired: () =>
        Promise.resolve({ runtime, wire: wireOf(runtime), close: () => Promise.resolve() }),
      remains: async () => (await runtime.list()).map(({ taskId }) => taskId),
      stranger: () => Promise.reject(new Error("nobody else has containers in its memory")),
      close: () => runtime.close(),
    };
  },
  CANNOT.fake,
);

for (const suite of ["what a container sees of its settings", "health checks"]) {
  skipSuite(`${suite}, with the fake`, FAKE_IS_MEMORY);
}
