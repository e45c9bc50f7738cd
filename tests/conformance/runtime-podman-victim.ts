import { systemClock } from "../../src/lib/clock.ts";
import { PodmanRuntime } from "../../src/runtime/podman/podman-runtime.ts";

// Starts a container and then waits to be killed, as an orchd does whose machine's owner is rude.
const { assignment, ...options } = JSON.parse(process.env["VICTIM"] ?? "");
const runtime = await PodmanRuntime.open({ ...options, clock: systemClock });
await runtime.create({ assignment });
await runtime.start(assignment.taskId);
console.log("started");
for await (const _ of runtime.events(new AbortController().signal));
