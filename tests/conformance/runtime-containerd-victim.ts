import { z } from "zod";
import { systemClock } from "../../src/lib/clock.ts";
import { assignmentSchema } from "../../src/model/assignment.ts";
import { nodeIdSchema } from "../../src/model/ids.ts";
import { ContainerdRuntime } from "../../src/runtime/containerd/containerd-runtime.ts";

// Starts a container and then waits to be killed, as an orchd does whose machine's owner is rude.
const victimSchema = z.object({
  assignment: assignmentSchema,
  nodeId: nodeIdSchema,
  runDir: z.string(),
  dataDir: z.string(),
  socket: z.string(),
});

const victim = victimSchema.parse(JSON.parse(process.env["VICTIM"] ?? ""));
const { assignment, ...options } = victim;
const runtime = await ContainerdRuntime.open({ ...options, clock: systemClock });
await runtime.create({ assignment });
await runtime.start(assignment.taskId);
console.log("started");
for await (const _ of runtime.events(new AbortController().signal));
