import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { HELLO_IMAGE } from "../../scripts/image.ts";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import { LAB_RUNTIMES } from "../../scripts/lab/lab-containers.ts";
import type { NodeSummary, TaskSummary } from "../../src/model/summary.ts";

const IMAGE = `image: ${HELLO_IMAGE}\n    pull_policy: never`;

/** A service that answers on 8080, and one that is in its network and asks it for its name. */
function shop(greeting: string): string {
  return `name: shop
services:
  front:
    ${IMAGE}
    environment: {GREETING: "${greeting}"}
    ports: ["8080:8080"]
    init: true
    deploy: {restart_policy: {delay: 100ms}}
  side:
    ${IMAGE}
    network_mode: service:front
    init: true
    deploy: {restart_policy: {delay: 100ms}}
    command: ["sh", "-c", "busybox httpd -f -p 9090 -h /etc"]
    healthcheck: {disable: true}
    x-orchd: {probes: {ready: {http: {port: 9090, path: /hostname}, interval: 1s}}}
`;
}

describe.each(LAB_RUNTIMES)("a task in the network of another one's task, with %s", (runtime) => {
  let fleet: Fleet;
  let h1: FleetHost;
  beforeAll(async () => {
    fleet = await Fleet.start(2, [runtime, runtime]);
    const h2 = fleet.host("h2");
    h1 = fleet.host("h1");
    await h1.startServer();
    h2.spawnAgent([`${await h1.token()}@${h1.address}`]);
    await h1.waitFor("both nodes are ready", async () => {
      const nodes = await h1.json<NodeSummary[]>("nodes");
      return nodes.filter(({ health }) => health === "ready").length === 2;
    });
    await h1.loadImage();
    await h1.mustUp(shop("one"));
  });
  afterAll(async () => fleet.stop());

  async function runningTask(service: string): Promise<TaskSummary> {
    await h1.waitConverged(`shop/${service}`);
    const found = (await h1.running("shop")).find((task) => task.service === service);
    if (found === undefined) throw new Error(`no task of ${service} runs`);
    return found;
  }

  /** Both tasks, once they are on one node and the one hears the other on its own loopback. */
  async function together(greeting: string): Promise<[TaskSummary, TaskSummary]> {
    let both: [TaskSummary, TaskSummary] | undefined;
    await h1.waitFor(`side is in the network of front, which says ${greeting}`, async () => {
      both = [await runningTask("front"), await runningTask("side")];
      const ask = ["exec", both[1].name, "--", "busybox", "wget", "-q", "-O", "-"];
      const { code, stdout } = await h1.orchd(...ask, "http://127.0.0.1:8080/");
      return code === 0 && stdout.startsWith(greeting);
    });
    if (both === undefined) throw new Error("there are no two tasks");
    expect(both[0].node).toBe(both[1].node);
    return both;
  }

  test("is on the same node, and has its addresses, names and ports", async () => {
    const [front, side] = await together("one");
    const addresses = ["busybox", "ip", "-4", "-o", "addr", "show", "eth0"];
    const seen = await Promise.all(
      [front, side].map(async (task) => h1.must("exec", task.name, "--", ...addresses)),
    );
    expect(seen[0]).toInclude("10.210.");
    expect(seen[1]).toBe(seen[0] ?? "");
    const name = ["busybox", "nslookup", "front"];
    expect(await h1.must("exec", side.name, "--", ...name)).toInclude("10.210.");
  });

  test("follows it when it crashes", async () => {
    const [front, side] = await together("one");
    const there = fleet.host(front.node ?? "").runtime;
    await there.kill(await there.of(front.id));
    await h1.waitFor("both have ended", async () => {
      const ended = (await h1.json<TaskSummary[]>("ps", "shop", "--all")).filter(
        ({ id, state }) => (id === front.id || id === side.id) && state === "failed",
      );
      return ended.length === 2;
    });
    const [, after] = await together("one");
    expect(after.id).not.toBe(side.id);
    const explained = await h1.must("explain", "shop/side");
    expect(explained).toInclude("the task of shop/front whose network it shared has ended");
  });

  test("follows it to another node, and to its next revision", async () => {
    const [front] = await together("one");
    await h1.must("node", "drain", front.node ?? "");
    await h1.waitFor("front is elsewhere", async () => {
      return (await runningTask("front")).node !== front.node;
    });
    const [moved] = await together("one");
    expect(moved.node).not.toBe(front.node);
    await h1.must("node", "activate", front.node ?? "");
    await h1.mustUp(shop("two"));
    await together("two");
  });
});
