import { describe, expect, test } from "bun:test";
import type { NetworkInspection } from "../../../src/model/network-summary.ts";
import { aCluster, aContainer, aNode, aService, aTask, anId } from "../../builders.ts";
import { anApi, type Refusal } from "./fixture.ts";

const front = { network: "front", aliases: [], internal: false };
const back = { network: "back", aliases: ["www"], internal: true };
const web = aService({ networks: [front, back] }, { virtualIp: "10.210.240.9" });
const db = aService(
  { networks: [{ ...back, aliases: [] }], endpointMode: "dnsrr" },
  { id: anId("db"), name: "db", stack: "data", virtualIp: "10.210.240.10" },
);
const host = aService(
  { container: aContainer({ networkMode: "host" }) },
  { id: anId("host"), name: "host" },
);
const plain = aService({}, { id: anId("plain"), name: "plain" });
const at = (address: string, over = {}) => ({ address, ...over });
const staged = { attempt: 2, desired: "prepared", state: "prepared" };
const world = {
  nodes: [aNode("h1"), aNode("h2", { health: "down" })],
  services: [web, db, host, plain],
  tasks: [
    aTask(web, "w1", at("10.210.1.2", { nodeId: anId("h1") })),
    aTask(web, "w2", at("10.210.2.2", { slot: "2", nodeId: anId("h2") })),
    aTask(web, "w10", at("10.210.1.9", { slot: "10", health: "starting", nodeId: anId("h1") })),
    aTask(web, "old", at("10.210.1.5", { state: "failed", nodeId: anId("h1") })),
    aTask(db, "d", at("10.210.1.3", { desired: "shutdown", nodeId: anId("h1") })),
    aTask(db, "e", at("10.210.1.4", { ...staged, nodeId: anId("h1") })),
  ],
};

async function ask(path: string, more: object = {}): Promise<unknown> {
  const { app } = await anApi({ ...world, ...more });
  return (await app.request(path)).json();
}

describe("networks", () => {
  test("are those that services are in, with who is there and gets traffic", async () => {
    expect(await ask("/v1/networks")).toEqual([
      { name: "back", internal: true, stacks: ["data", "shop"], services: 2, tasks: 5, ready: 1 },
      { name: "front", internal: false, stacks: ["shop"], services: 1, tasks: 3, ready: 1 },
      { name: "shop_default", internal: false, stacks: ["shop"], services: 1, tasks: 0, ready: 0 },
    ]);
  });

  test("are shown with the names, addresses and endpoints of their services", async () => {
    const { members } = (await ask("/v1/networks/back")) as NetworkInspection;
    expect(members).toMatchObject([
      { stack: "data", service: "db", aliases: [], endpointMode: "dnsrr" },
      {
        stack: "shop",
        service: "web",
        aliases: ["www"],
        endpointMode: "vip",
        virtualIp: "10.210.240.9",
      },
    ]);
    expect(members[0]).not.toHaveProperty("virtualIp");
    const endpoints = members.flatMap((member) => member.endpoints);
    expect(endpoints.map((one) => [one.task, one.address, one.node, one.reason])).toEqual([
      ["data/db.1", "10.210.1.3", "h1", "it is on its way out"],
      ["data/db.1", "10.210.1.4", "h1", "it waits until its slot is free"],
      ["shop/web.1", "10.210.1.2", "h1", ""],
      ["shop/web.2", "10.210.2.2", "h2", "it is on node h2, which is down"],
      ["shop/web.10", "10.210.1.9", "h1", "it has not answered yet"],
    ]);
    expect(endpoints.map(({ ready }) => ready)).toEqual([false, false, true, false, false]);
  });

  test("are shown with addresses of IPv6 where the cluster has such", async () => {
    const cluster = aCluster({ range6: "fd00::/96" });
    const { members } = (await ask("/v1/networks/front", { cluster })) as NetworkInspection;
    expect(members[0]?.virtualIp6).toBe("fd00::ad2:f009");
    expect(members[0]?.endpoints[0]?.address6).toBe("fd00::ad2:102");
  });

  test("that nobody is in are not found, with the nearest name", async () => {
    const { app } = await anApi(world);
    const response = await app.request("/v1/networks/shop_defautl");
    const { error } = (await response.json()) as Refusal;
    expect([response.status, error.message]).toEqual([
      404,
      "no service is in a network of that name; did you mean shop_default?",
    ]);
  });
});
