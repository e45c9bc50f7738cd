import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { NodeSummary, TaskSummary } from "../../src/model/summary.ts";
import { Fleet } from "../../scripts/lab/fleet.ts";
import { HELLO_IMAGE } from "../../scripts/image.ts";
import { HELLO } from "../../scripts/lab/host.ts";
import { Visitors } from "./visitors.ts";

const STACK = HELLO.replace("replicas: 3", "replicas: 2");
const READY_AFTER_S = 2;
const VISITS_PER_SECOND = 100;
/** A program that ends at its signal at once, whatever it is doing. */
const SUDDEN = `name: sudden
services:
  web:
    image: ${HELLO_IMAGE}
    pull_policy: never
    init: true
    environment: { WORD: one }
    command: ["sh", "-c", "echo $$WORD > /www/index.html; exec httpd -f -p 8080 -h /www"]
    ports: ["8081:8080"]
    healthcheck: { test: ["CMD", "test", "-e", "/www/index.html"], start_interval: 200ms }
    deploy:
      replicas: 4
      placement: { preferences: [{ spread: node.hostname }] }
      update_config: { order: start-first, parallelism: 2, monitor: 500ms }
`;
/** Each waits for another one that is on the other machine. */
const CHAIN = `name: chain
services:
  web:
    image: ${HELLO_IMAGE}
    pull_policy: never
    command: ["sleep", "1000"]
    stop_grace_period: 0s
    depends_on: { migrate: { condition: service_completed_successfully } }
    deploy: { placement: { constraints: ["node.hostname == h1"] } }
  migrate:
    image: ${HELLO_IMAGE}
    pull_policy: never
    command: ["true"]
    depends_on: { db: { condition: service_healthy } }
    deploy: { mode: replicated-job, placement: { constraints: ["node.hostname == h2"] } }
  db:
    image: ${HELLO_IMAGE}
    pull_policy: never
    command: ["sh", "-c", "sleep ${READY_AFTER_S}; touch /tmp/ready; sleep 1000"]
    stop_grace_period: 0s
    healthcheck: { test: ["CMD", "test", "-e", "/tmp/ready"], interval: 500ms, start_period: 10s }
    deploy: { placement: { constraints: ["node.hostname == h1"] } }
`;

describe("the hello stack on two machines", () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start(2, ["podman", "containerd"]);
    const [h1, h2] = [fleet.host("h1"), fleet.host("h2")];
    await h1.startServer();
    h2.spawnAgent([`${await h1.token()}@${h1.address}`]);
    await h1.waitFor("both nodes are ready", async () => {
      const nodes = await h1.json<NodeSummary[]>("nodes");
      return nodes.filter((node) => node.health === "ready").length === 2;
    });
    await h1.loadImage();
    await h1.mustUp(STACK);
  });
  afterAll(async () => fleet.stop());

  /** How many of the stack's tasks are ready on each machine. */
  async function spread(): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { node, ready } of await fleet.host("h1").json<TaskSummary[]>("ps", "hello")) {
      if (ready && node !== undefined) counts[node] = (counts[node] ?? 0) + 1;
    }
    return counts;
  }

  /** The containers that run, by their machine's Podman. */
  async function containers(): Promise<string[][]> {
    return Promise.all(fleet.hosts.map((host) => host.containers("hello")));
  }

  test("has a task on each", async () => {
    expect(await spread()).toEqual({ h1: 1, h2: 1 });
  });

  test("scales from two to four, two on each, and ends none for it", async () => {
    const before = await containers();
    await fleet.host("h1").must("scale", "web-app=4");
    expect(await spread()).toEqual({ h1: 2, h2: 2 });
    const after = await containers();
    expect(after.map((one) => one.length)).toEqual([2, 2]);
    expect(after.flat()).toEqual(expect.arrayContaining(before.flat()));
  });

  test("rolls a change out to both, and no machine goes without a task meanwhile", async () => {
    const seen: number[] = [];
    const done = new AbortController();
    const text = STACK.replace("GREETING: Hello", "GREETING: Welcome");
    const rollout = fleet
      .host("h1")
      .mustUp(text.replace("replicas: 2", "replicas: 4"))
      .finally(() => done.abort());
    while (!done.signal.aborted) {
      seen.push(Object.values(await spread()).reduce((sum, count) => sum + count, 0));
    }
    await rollout;
    expect(seen.filter((count) => count < 4)).toEqual([]);
    expect(await spread()).toEqual({ h1: 2, h2: 2 });
    for (const host of fleet.hosts) {
      expect(await host.get("http://127.0.0.1:8080/")).toStartWith("Welcome");
    }
  });

  test("loses no request to tasks that end at once, while both are rolled out", async () => {
    const h1 = fleet.host("h1");
    await h1.mustUp(SUDDEN);
    const visitors = fleet.hosts.map((host) => {
      return new Visitors(host, "http://127.0.0.1:8081/", "sudden", VISITS_PER_SECOND);
    });
    await h1.mustUp(SUDDEN.replace("WORD: one", "WORD: two"));
    const seen = await Promise.all(visitors.map(async (one) => one.stop()));
    expect(seen.map(({ failed }) => failed)).toEqual([[], []]);
    expect(Math.min(...seen.map(({ asked }) => asked))).toBeGreaterThan(VISITS_PER_SECOND);
    expect(await h1.get("http://127.0.0.1:8081/")).toStartWith("two");
    await h1.must("down", "sudden");
  });

  test("moves to one while the other is drained, and does not come back by itself", async () => {
    await fleet.host("h1").must("node", "drain", "h2", "--wait");
    expect(await spread()).toEqual({ h1: 4 });
    expect((await containers()).map((one) => one.length)).toEqual([4, 0]);
    await fleet.host("h1").must("node", "activate", "h2");
    expect(await spread()).toEqual({ h1: 4 });
  });

  test("starts what depends on others after them, also where they are on the other", async () => {
    await fleet.host("h1").mustUp(CHAIN);
    const tasks = await fleet.host("h1").json<TaskSummary[]>("ps", "chain", "--all");
    const [db, migrate, web] = ["db", "migrate", "web"].map((name) =>
      tasks.find(({ service }) => service === name),
    );
    expect([db?.node, migrate?.node, web?.node]).toEqual(["h1", "h2", "h1"]);
    expect(migrate).toMatchObject({ state: "complete", exitCode: 0 });
    const healthyAt = (db?.startedAt ?? Number.NaN) + READY_AFTER_S * 1000;
    expect(migrate?.startedAt).toBeGreaterThanOrEqual(healthyAt);
    expect(web?.startedAt).toBeGreaterThanOrEqual(migrate?.finishedAt ?? Number.NaN);
  });
});
