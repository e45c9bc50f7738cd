import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { HELLO_IMAGE } from "../../scripts/image.ts";
import { Fleet, type FleetHost } from "../../scripts/lab/fleet.ts";
import type { NodeSummary } from "../../src/model/summary.ts";
import { askFrom, containerOf, run } from "./network-fixtures.ts";

/** The same names, ports and addresses in both clusters: neither may know of the other's. */
const stackThatSays = (greeting: string) => `name: shop
services:
  web:
    image: ${HELLO_IMAGE}
    pull_policy: never
    environment: { GREETING: ${greeting} }
    ports: ["8080:8080"]
    deploy: { mode: global }
`;

interface Cluster {
  greeting: string;
  server: FleetHost;
  member: FleetHost;
}

describe("two clusters on one local network", () => {
  let fleet: Fleet;
  let clusters: Cluster[];

  beforeAll(async () => {
    fleet = await Fleet.start(4);
    const clusterOf = (greeting: string, server: string, member: string) => {
      return { greeting, server: fleet.host(server), member: fleet.host(member) };
    };
    clusters = [clusterOf("Ours", "h1", "h2"), clusterOf("Theirs", "h3", "h4")];
    await Promise.all(clusters.map(async ({ server }) => server.startServer()));
    await Promise.all(clusters.map(join));
    await Promise.all(clusters.map(async ({ server }) => server.loadImage()));
    await Promise.all(
      clusters.map(async ({ server, greeting }) => server.mustUp(stackThatSays(greeting))),
    );
  });
  afterAll(async () => fleet.stop());

  /** By the token alone: the machine has to find its own cluster, and no other. */
  async function join({ server, member }: Cluster): Promise<void> {
    member.spawnAgent([await server.token()]);
    await server.waitFor("both nodes are ready", async () => {
      const nodes = await server.json<NodeSummary[]>("nodes");
      return nodes.filter(({ health }) => health === "ready").length === 2;
    });
  }

  async function namesIn({ server }: Cluster): Promise<string[]> {
    return (await server.json<NodeSummary[]>("nodes")).map(({ hostname }) => hostname).sort();
  }

  /** What a task hears from both tasks of its service, wherever they are. */
  async function heardBy(host: FleetHost): Promise<string[]> {
    const { pid, address } = await containerOf(host, "shop");
    const inside = ["nsenter", "-t", pid, "-n"];
    const names = ["dig", "+short", `@${address.replace(/\d+$/, "1")}`, "tasks.web"];
    const found = (await run(host, ...inside, ...names)).split("\n").filter(Boolean);
    const task = { pid, address };
    const heard = await Promise.all(found.map((one) => askFrom(host, task, `http://${one}:8080/`)));
    return heard.map((answer) => answer ?? "nobody");
  }

  test("each has its own machines, though the others answer as well", async () => {
    expect(await Promise.all(clusters.map(namesIn))).toEqual([
      ["h1", "h2"],
      ["h3", "h4"],
    ]);
  });

  test("the same addresses lead to each one's own tasks, on both of its machines", async () => {
    for (const { greeting, server, member } of clusters) {
      for (const host of [server, member]) {
        await host.waitFor("both tasks are known", async () => (await heardBy(host)).length === 2);
        const words = (await heardBy(host)).map((line) => line.split(" ")[0]);
        expect(words).toEqual([greeting, greeting]);
      }
    }
  });

  test("what befalls one is nothing to the other", async () => {
    const [ours, theirs] = clusters as [Cluster, Cluster];
    const before = await ours.server.running("shop");
    await theirs.server.cutPower();
    await theirs.member.cutPower();
    await theirs.server.boot();
    await theirs.server.startServer();
    await theirs.server.waitFor("its tasks are back", async () => {
      return (await theirs.server.get("http://127.0.0.1:8080/"))?.startsWith("Theirs") === true;
    });
    expect(await namesIn(ours)).toEqual(["h1", "h2"]);
    const ids = (tasks: typeof before) => tasks.map(({ id }) => id).sort();
    expect(ids(await ours.server.running("shop"))).toEqual(ids(before));
    expect((await heardBy(ours.member)).every((line) => line.startsWith("Ours"))).toBe(true);
  });
});
