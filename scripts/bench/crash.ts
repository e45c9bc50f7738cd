import { createInterface } from "node:readline";
import type { Event } from "../../src/model/event.ts";
import { orchd } from "../project.ts";
import { benchHost, sleepers } from "./bench-host.ts";
import { median, type Figure } from "./figure.ts";
import { waitUntil } from "../lab/lab.ts";

const CRASHES = 10;
const NOTICE_TIMEOUT_MS = 20_000;

/** From the SIGKILL of a container's process until `orchd events --follow` prints its failure. */
export async function benchCrash(): Promise<Figure[]> {
  const { host } = await benchHost();
  try {
    await host.mustUp(sleepers("bench", CRASHES));
    const told = new Map<string, number>();
    const follower = host.lab.spawn([orchd, "events", "--follow", "--json"]);
    if (follower.stdout !== null) {
      createInterface(follower.stdout).on("line", (line) => {
        const event = JSON.parse(line) as Event;
        if (event.action === "failed" && !told.has(event.id)) told.set(event.id, performance.now());
      });
    }
    const samples: number[] = [];
    for (const task of await host.running("bench")) {
      const filter = `label=orchd.task=${task.id}`;
      const id = await host.podman("ps", "--quiet", "--filter", filter);
      const pid = await host.podman("inspect", "--format", "{{.State.Pid}}", id);
      const start = performance.now();
      await host.lab.run(["kill", "-9", pid]);
      await waitUntil("the crash is told", NOTICE_TIMEOUT_MS, () => told.has(task.id));
      samples.push((told.get(task.id) ?? Number.NaN) - start);
    }
    const worst = Math.max(...samples);
    const unit = { unit: "ms", limit: 1_000, samples };
    return [
      {
        what: "crash of a container until events tell it, median",
        value: median(samples),
        ...unit,
      },
      { what: "crash of a container until events tell it, worst", value: worst, ...unit },
    ];
  } finally {
    await host.stop();
  }
}
