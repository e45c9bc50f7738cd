import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import { aStack } from "../../scripts/lab/host.ts";
import type { NodeSummary, TaskSummary } from "../../src/model/summary.ts";
import { Visitors } from "./visitors.ts";

const PER_SECOND = 100;
const URL = "http://127.0.0.1:8080/";
/** Each task tells in its log of each request that it answers. */
const STACK = aStack(
  "shop",
  `command: [sh, -c, "hostname > /www/index.html; exec httpd -f -v -p 8080 -h /www"]
ports: ["8080:8080"]
stop_grace_period: 0s
deploy: { replicas: 2, placement: { max_replicas_per_node: 1 } }
x-orchd: { probes: { ready: { exec: test -f /tmp/ready, interval: 500ms, retries: 1 } } }`,
);

describe("tasks on two machines, of which not all are ready", () => {
  let fleet: Fleet;
  let h1: FleetHost;
  beforeAll(async () => {
    fleet = await Fleet.start(2);
    h1 = fleet.host("h1");
    await h1.startServer();
    fleet.host("h2").spawnAgent([`${await h1.token()}@${h1.address}`]);
    await h1.waitFor("both nodes are ready", async () => {
      const nodes = await h1.json<NodeSummary[]>("nodes");
      return nodes.filter((node) => node.health === "ready").length === 2;
    });
    await h1.loadImage();
    await h1.up(STACK, "--detach");
    await h1.waitFor("two tasks run", async () => (await h1.running("shop")).length === 2);
  });
  afterAll(async () => fleet.stop());

  async function taskOn(node: string): Promise<TaskSummary> {
    const found = (await h1.running("shop")).find((task) => task.node === node);
    if (found === undefined) throw new Error(`no task runs on ${node}`);
    return found;
  }

  async function setReady(node: string, isReady: boolean): Promise<void> {
    const { id } = await taskOn(node);
    await h1.must("exec", id, "--", ...(isReady ? ["touch"] : ["rm"]), "/tmp/ready");
    await h1.waitFor("its node has seen it", async () => (await taskOn(node)).ready === isReady);
  }

  /** Requests that the task on the node has answered in its life. */
  async function answeredOn(node: string): Promise<number> {
    const { stderr } = await h1.orchd("logs", (await taskOn(node)).id);
    return stderr.split("\n").filter((line) => line.includes("response:200")).length;
  }

  /** Sends some hundreds of requests to both machines; answers which node answered how many. */
  async function requests(): Promise<{ failed: string[]; asked: number; h1: number; h2: number }> {
    const before = [await answeredOn("h1"), await answeredOn("h2")] as const;
    const visitors = fleet.hosts.map((host) => new Visitors(host, URL, "shop", PER_SECOND));
    const total = async () => (await answeredOn("h1")) + (await answeredOn("h2"));
    await h1.waitFor("300 answers", async () => (await total()) - before[0] - before[1] > 300);
    const said = await Promise.all(visitors.map((one) => one.stop()));
    const asked = said.reduce((sum, one) => sum + one.asked, 0);
    const failed = said.flatMap((one) => one.failed);
    // One that failed may be in no log.
    const wanted = asked - failed.length;
    await h1.waitFor(
      "the logs have all",
      async () => (await total()) - before[0] - before[1] >= wanted,
    );
    const [first, second] = [await answeredOn("h1"), await answeredOn("h2")];
    return { failed, asked, h1: first - before[0], h2: second - before[1] };
  }

  test("get none while none of them is: the port is refused on both", async () => {
    for (const host of fleet.hosts) expect(await host.get(URL)).toBeUndefined();
    expect([await answeredOn("h1"), await answeredOn("h2")]).toEqual([0, 0]);
  });

  test("get every request where they are ready, and none where they are not", async () => {
    await setReady("h1", true);
    for (const host of fleet.hosts) {
      await host.waitFor("it answers", async () => (await host.get(URL)) !== undefined);
    }
    const counted = await requests();
    expect(counted).toEqual({ failed: [], asked: counted.asked, h1: counted.asked, h2: 0 });
  });

  test("share them when both are", async () => {
    await setReady("h2", true);
    const { failed, asked, h1: first, h2: second } = await requests();
    expect({ failed, sum: first + second }).toEqual({ failed: [], sum: asked });
    expect(Math.min(first, second)).toBeGreaterThan(asked / 4);
  });

  test("get no more from when they are not ready any more, and go on", async () => {
    const was = await taskOn("h1");
    await setReady("h1", false);
    const counted = await requests();
    expect(counted).toEqual({ failed: [], asked: counted.asked, h1: 0, h2: counted.asked });
    expect((await taskOn("h1")).id).toBe(was.id);
  });
});
