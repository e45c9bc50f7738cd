import { setTimeout as pause } from "node:timers/promises";
import type { NodeSummary } from "../../src/model/summary.ts";
import { Fleet, type FleetHost } from "../lab/fleet.ts";
import type { LabRuntime } from "../lab/lab-containers.ts";
import { sleepers } from "./bench-host.ts";

/** It gives back what only its start needed 30 s after it. */
const SETTLE_MS = 45_000;

/** What is measured of an agent on a machine of its own, once its tasks run and it has settled. */
export async function withSettledAgent<T>(
  tasks: number,
  measure: (agent: FleetHost) => Promise<T>,
  runtime?: LabRuntime,
): Promise<T> {
  const fleet = await Fleet.start(2, runtime && [runtime, runtime]);
  try {
    const [server, agent] = [fleet.host("h1"), fleet.host("h2")];
    await server.startServer();
    agent.spawnAgent([`${await server.token()}@${server.address}`]);
    await server.waitFor("the agent is ready", async () => {
      const nodes = await server.json<NodeSummary[]>("nodes");
      return nodes.some(({ hostname, health }) => hostname === "h2" && health === "ready");
    });
    await server.loadImage();
    await server.mustUp(
      `${sleepers("bench", tasks)}      placement: {constraints: [node.hostname == h2]}\n`,
    );
    await pause(SETTLE_MS);
    return await measure(agent);
  } finally {
    await fleet.stop();
  }
}
