import { Agent, request } from "node:http";
import { readFileSync } from "node:fs";
import { STARTS_AT_ONCE } from "../../src/agent/executor.ts";
import { createSpecOf } from "../../src/runtime/podman/create-spec.ts";
import { parseProcessLimits } from "../../src/runtime/podman/process-limits.ts";
import { aContainer, anAssignment, anId } from "../../tests/builders.ts";
import { eachOf } from "./work.ts";

/*
 * The floor under `orchd up`: the same containers, made and started by nothing but the same calls
 * on Podman's socket, as many at once as the agent starts. Run by Bun, like orchd itself:
 * raw-start.ts SOCKET REPLICAS SUBNET IMAGE. Prints the milliseconds it took.
 */
const [socketPath = "", count = "0", subnet = "", image = ""] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: STARTS_AT_ONCE });
const limits = parseProcessLimits(
  readFileSync("/proc/self/limits", "utf8"),
  readFileSync("/proc/self/status", "utf8"),
  20_000,
);
const prefix = subnet.split(".").slice(0, 3).join(".");
const specs = Array.from({ length: Number(count) }, (_, i) => specOf(i));

const start = performance.now();
await eachOf(specs, STARTS_AT_ONCE, async (spec) => {
  const { Id: id } = JSON.parse(await post("/containers/create", spec)) as { Id: string };
  await post(`/containers/${id}/start`);
});
console.log(performance.now() - start);
agent.destroy();

function specOf(index: number): object {
  return createSpecOf({
    assignment: anAssignment(`raw${index}`, {
      stack: "raw",
      slot: String(index + 1),
      container: aContainer({ image, command: ["sleep", "1000000"], stopGraceMs: 0 }),
    }),
    nodeId: anId("bench"),
    network: { name: "orchd0", subnet, gateway: `${prefix}.1` },
    limits,
    address: `${prefix}.${index + 2}`,
  });
}

async function post(path: string, body?: object): Promise<string> {
  const call = { socketPath, agent, method: "POST", path: `/v4.0.0/libpod${path}` };
  const headers = { host: "podman", "content-type": "application/json" };
  return new Promise((resolve, reject) => {
    const sent = request({ ...call, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => {
        if ((response.statusCode ?? 500) < 400) resolve(text);
        else reject(new Error(`${path}: ${response.statusCode} ${text}`));
      });
    });
    sent.on("error", reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}
