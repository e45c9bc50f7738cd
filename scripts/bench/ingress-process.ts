import { argv } from "node:process";
import { RouteTable } from "../../src/core/ingress/route-table.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { systemRandom } from "../../src/lib/random.ts";
import type { ServiceId, TaskId } from "../../src/model/ids.ts";
import type { NetworkMap } from "../../src/model/network-map.ts";
import { listenHttp } from "../../src/net/ingress/listeners.ts";
import { Proxy } from "../../src/net/ingress/proxy.ts";

/*
 * `ingress-process.ts PORT UPSTREAM`: the proxy of a node, with one route for every host to a
 * program on this machine.
 */
const [port = 0, upstream = 0] = argv.slice(2).map(Number);
const rule = {
  host: "*",
  path: "/",
  port: upstream,
  strip: false,
  tls: "off",
  redirect: false,
  sticky: false,
  timeoutMs: 60_000,
} as const;
const serviceId = "web" as ServiceId;
const map: Pick<NetworkMap, "services" | "tasks"> = {
  services: [
    { id: serviceId, stack: "bench", name: "web", networks: [], ports: [], ingress: [rule] },
  ],
  tasks: [
    {
      id: "task" as TaskId,
      serviceId,
      slot: "1",
      nodeId: "node" as NetworkMap["nodes"][number]["id"],
      address: "127.0.0.1",
      isReady: true,
    },
  ],
};
const proxy = new Proxy({ clock: systemClock, random: systemRandom });
proxy.setRoutes(RouteTable.of(map));
listenHttp(proxy, "127.0.0.1", port);
console.log("ready");
