import { z } from "zod";
import { systemClock } from "../../src/lib/clock.ts";
import { assignmentSchema } from "../../src/model/assignment.ts";
import { nodeIdSchema } from "../../src/model/ids.ts";
import { ProcessRuntime } from "../../src/runtime/process/process-runtime.ts";

// Starts a process and is killed meanwhile, as an orchd is whose machine's owner is rude.
const victimSchema = z.object({
  assignment: assignmentSchema,
  nodeId: nodeIdSchema,
  runDir: z.string(),
  dataDir: z.string(),
  allowed: z.array(z.string()),
});

const victim = victimSchema.parse(JSON.parse(process.env["VICTIM"] ?? ""));
const { assignment, ...options } = victim;
const runtime = await ProcessRuntime.open({ ...options, clock: systemClock });
await runtime.create({ assignment });
console.log("created");
await runtime.start(assignment.taskId);
console.log("started");
for await (const _ of runtime.events(new AbortController().signal));
