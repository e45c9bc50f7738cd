import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { HELLO_IMAGE } from "../../scripts/image.ts";
import { Fleet } from "../../scripts/lab/fleet.ts";
import { aStack, Host } from "../../scripts/lab/host.ts";
import type { NodeSummary } from "../../src/model/summary.ts";
import { Visitors } from "./visitors.ts";

/** One task that keeps a core busy, and may have company. */
const BUSY = `name: busy
services:
  worker:
    image: ${HELLO_IMAGE}
    pull_policy: never
    command: ["sh", "-c", "while :; do :; done"]
    stop_grace_period: 0s
    deploy: { resources: { limits: { cpus: "0.1" } } }
    x-orchd:
      autoscale: { min: 1, max: 2, cpu: 50% }
`;

describe("a service that scales itself", () => {
  let host: Host;
  beforeAll(async () => {
    host = await Host.withServer();
    await host.mustUp(BUSY);
  });
  afterAll(async () => host.stop());

  test("gets a second task from what the machine measures, and says why", async () => {
    await host.waitFor("there are two", async () => (await host.running("busy")).length === 2);
    const facts = await host.json<{ facts: { label: string; value: string }[] }>(
      ...["explain", "busy/worker"],
    );
    const said = Object.fromEntries(facts.facts.map(({ label, value }) => [label, value]));
    expect(said["scales itself"]).toBe("2 of 1 to 2 tasks");
    expect(said["because"]).toMatch(/^cpu is at \d+ % of what is wanted/);
    expect((await host.service("busy/worker")).revision).toBe(1);
  });

  test("is not scaled by hand as well", async () => {
    const { code, stderr } = await host.orchd("scale", "busy/worker=5");
    expect([code, stderr.trim()]).toEqual([
      1,
      "service busy/worker scales itself between 1 and 2 tasks: " +
        "change x-orchd.autoscale in its file",
    ]);
  });
});

/** Its tasks are on one machine alone. */
const VISITED = aStack(
  "shop",
  `command: ["httpd", "-f", "-p", "8080"]
deploy: { placement: { constraints: ["node.hostname == h2"] } }
x-orchd:
  ingress: { host: shop.example, port: 8080 }
  autoscale: { min: 1, max: 3, requests: 10, up: { step: 1 } }`,
);

describe("a service that scales itself by its requests", () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start(2);
    const [h1, h2] = [fleet.host("h1"), fleet.host("h2")];
    await h1.startServer();
    h2.spawnAgent([`${await h1.token()}@${h1.address}`]);
    await h1.waitFor("both nodes are ready", async () => {
      const nodes = await h1.json<NodeSummary[]>("nodes");
      return nodes.filter((node) => node.health === "ready").length === 2;
    });
    await h1.loadImage();
    await h1.mustUp(VISITED);
  });
  afterAll(async () => fleet.stop());

  test("counts those that come in by a machine without a task", async () => {
    const h1 = fleet.host("h1");
    const visitors = new Visitors(h1, "http://127.0.0.1/", "shop.example", 20);
    await h1.waitFor("there are two", async () => (await h1.running("shop")).length === 2);
    expect((await visitors.stop()).asked).toBeGreaterThan(0);
    const facts = await h1.json<{ facts: { label: string; value: string }[] }>(
      ...["explain", "shop/app"],
    );
    const because = facts.facts.find(({ label }) => label === "because");
    expect(because?.value).toMatch(/^requests is at \d+ % of what is wanted/);
  });
});
