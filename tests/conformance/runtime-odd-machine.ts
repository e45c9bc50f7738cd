import { z } from "zod";
import { systemClock } from "../../src/lib/clock.ts";
import { OrchdError } from "../../src/lib/errors.ts";
import { assignmentSchema } from "../../src/model/assignment.ts";
import { nodeIdSchema } from "../../src/model/ids.ts";
import { ContainerdRuntime } from "../../src/runtime/containerd/containerd-runtime.ts";
import type { Runtime } from "../../src/runtime/driver.ts";
import { ProcessRuntime } from "../../src/runtime/process/process-runtime.ts";

/*
 * Run by Bun where something of the machine is missing (`runtime-odd-machines.test.ts`): opens a
 * driver, has it make its network and start a task, and prints how that failed.
 */
const oddSchema = z.object({
  driver: z.enum(["containerd", "process"]),
  nodeId: nodeIdSchema,
  runDir: z.string(),
  dataDir: z.string(),
  socket: z.string().optional(),
  systemSocket: z.string().optional(),
  network: z.object({ name: z.string(), subnet: z.string(), gateway: z.string() }),
  address: z.string(),
  assignment: assignmentSchema,
});

const { driver, socket, systemSocket, network, address, assignment, ...dirs } = oddSchema.parse(
  JSON.parse(process.env["ODD"] ?? ""),
);
let runtime: Runtime | undefined;
try {
  runtime = await open();
  await runtime.ensureNetwork(network);
  await runtime.create({ assignment, address });
  await runtime.start(assignment.taskId);
  console.log("null");
} catch (error) {
  if (!(error instanceof OrchdError)) throw error;
  console.log(JSON.stringify({ code: error.code, message: error.message }));
} finally {
  await runtime?.remove(assignment.taskId);
  if (Bun.which("ip") !== null) await runtime?.removeNetwork(network.name);
  await runtime?.close();
}

function open(): Promise<Runtime> {
  const options = { ...dirs, clock: systemClock };
  if (driver === "process") return ProcessRuntime.open({ ...options, allowed: ["/bin"] });
  return ContainerdRuntime.open({
    ...options,
    ...(socket === undefined ? {} : { socket }),
    ...(systemSocket === undefined ? {} : { systemSocket }),
  });
}
