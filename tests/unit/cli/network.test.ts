import { afterEach, describe, expect, test } from "bun:test";
import type { NetworkInspection } from "../../../src/model/network-summary.ts";
import { FakeIo, run } from "./fake-io.ts";
import { FakeServer, problem, type Routes } from "./fake-server.ts";

let server: FakeServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

async function ask(routes: Routes, line: string) {
  server = new FakeServer(routes);
  const io = new FakeIo();
  io.env["ORCHD_SOCKET"] = server.socketPath;
  return run(line.split(" "), io);
}

const summary = {
  name: "shop_default",
  internal: false,
  stacks: ["data", "shop"],
  services: 2,
  tasks: 2,
  ready: 1,
};
const endpoint = {
  taskId: "t",
  task: "shop/web.1",
  address: "10.210.1.2",
  node: "h1",
  state: "running",
  health: "healthy",
  ready: true,
  reason: "",
} as const;
const inspection: NetworkInspection = {
  ...summary,
  members: [
    {
      stack: "shop",
      service: "web",
      aliases: ["www"],
      endpointMode: "vip",
      virtualIp: "10.210.240.9",
      endpoints: [
        endpoint,
        {
          ...endpoint,
          task: "shop/web.2",
          node: "h2",
          ready: false,
          reason: "it is on node h2, which is down",
        },
      ],
    },
    { stack: "shop", service: "db", aliases: [], endpointMode: "dnsrr", endpoints: [] },
  ],
};

describe("orchd network", () => {
  test("ls lists networks, and as JSON the API's own shape", async () => {
    const routes = { "GET /v1/networks": () => [summary] };
    expect((await ask(routes, "network ls")).out).toBe(
      [
        "NAME          INTERNAL  STACKS     SERVICES  READY",
        "shop_default  no        data,shop  2         1/2",
        "",
      ].join("\n"),
    );
    await server?.stop();
    const { out } = await ask(routes, "network ls --json");
    expect(JSON.parse(out)).toEqual([summary]);
  });

  test("inspect shows names, virtual addresses, endpoints, and why one is out", async () => {
    const routes = { "GET /v1/networks/shop_default": () => inspection };
    const { code, out } = await ask(routes, "network inspect shop_default");
    expect(code).toBe(0);
    expect(out).toBe(
      [
        "network shop_default: 2 services, 1 of 2 tasks ready",
        "",
        "shop/web, also www: 10.210.240.9",
        "  TASK        ADDRESS     NODE  READY  REASON",
        "  shop/web.1  10.210.1.2  h1    yes",
        "  shop/web.2  10.210.1.2  h2    no     it is on node h2, which is down",
        "",
        "shop/db: addresses of its tasks",
        "  no task",
        "",
      ].join("\n"),
    );
  });

  test("inspect shows addresses of IPv6 where the cluster has such", async () => {
    const [web, ...others] = inspection.members;
    if (web === undefined) throw new Error("the network has a service");
    const endpoints = web.endpoints.map((one) => ({ ...one, address6: "fd00::ad2:102" }));
    const members = [{ ...web, virtualIp6: "fd00::ad2:f009", endpoints }, ...others];
    const routes = { "GET /v1/networks/shop_default": () => ({ ...inspection, members }) };
    const { out } = await ask(routes, "network inspect shop_default");
    expect(out.split("\n").slice(2, 5)).toEqual([
      "shop/web, also www: 10.210.240.9, fd00::ad2:f009",
      "  TASK        ADDRESS     IPV6 ADDRESS   NODE  READY  REASON",
      "  shop/web.1  10.210.1.2  fd00::ad2:102  h1    yes",
    ]);
  });

  test("inspect passes on that there is no such network, and needs a name", async () => {
    const refuse = () => problem("notFound", "no service is in a network of that name");
    const { code, err } = await ask({ "GET /v1/networks/x": refuse }, "network inspect x");
    expect([code, err]).toEqual([1, expect.stringContaining("no service is in a network")]);
    await server?.stop();
    expect((await ask({}, "network inspect")).code).toBe(2);
  });
});
