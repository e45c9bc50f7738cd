import { systemClock } from "../../src/lib/clock.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { FakeRuntime } from "../../src/runtime/fake/fake-runtime.ts";
import { runtimeConformance } from "./runtime.ts";

runtimeConformance("fake", async () => {
  const runtime = new FakeRuntime({ clock: systemClock, random: seededRandom("fake") });
  return {
    runtime,
    // Its containers live in the object, which a restarted agent in the same process uses again.
    reopen: () => Promise.resolve(runtime),
    image: "localhost/web:1",
    archive: tarOfNothing,
    network: { name: "orchdt0", subnet: "10.213.0.0/24", gateway: "10.213.0.1" },
    crash: (taskId) => Promise.resolve(runtime.crash(taskId)),
    removeBehindBack: (taskId) => Promise.resolve(runtime.removeBehindBack(taskId)),
    interrupt: () => {
      runtime.setReachable(false);
      runtime.setReachable(true);
      return Promise.resolve();
    },
    close: () => runtime.close(),
  };
});

/** The shortest thing that has a tar file's mark in its first header. */
function tarOfNothing(): ReadableStream<Uint8Array> {
  const header = new Uint8Array(1024);
  header.set(new TextEncoder().encode("ustar"), 257);
  const { body } = new Response(header);
  if (body === null) throw new Error("a response with bytes has a body");
  return body;
}
