import { expect, test } from "bun:test";
import { explainNode } from "../../../src/server/explain-node.ts";
import { explainService } from "../../../src/server/explain.ts";
import { networkFacts } from "../../../src/server/explain-network.ts";
import { aContainer, aNode, aService, aTask, aView, aVolumeMount } from "../../builders.ts";

test("a node's explanation has what its agent found out", () => {
  const note = "7946/udp to 10.99.0.1 is blocked: no answer to 3 probes, while 7946/tcp answers";
  const node = aNode("n1", { notes: [note] });
  const { facts } = explainNode(aView({ nodes: [node] }), node, "its session is connected", 0);
  expect(facts).toContainEqual({ label: "trouble", value: note });
});

test("a drained node's explanation says why tasks are still there, and until when", () => {
  const node = aNode("n1", { availability: "drain", drainBy: 61_000 });
  const container = aContainer({ mounts: [aVolumeMount("data")] });
  const service = aService({ container, drain: { parallelism: 1 } });
  const view = aView({ nodes: [node], services: [service], tasks: [aTask(service, "t1")] });
  expect(explainNode(view, node, "its session is connected", 1000).next).toBe(
    "Of its tasks, 1 task can't (the volume data of shop/web is there). " +
      "Of shop/web no more than 1 slot may be empty at once. What is left ends in 60 s.",
  );
});

test("a service that scales itself says between which bounds, and why it has as many", () => {
  const pace = { windowMs: 0, step: 0 };
  const autoscale = { min: 2, max: 5, cpuPercent: 70, up: pace, down: pace };
  const service = aService({ autoscale }, { scaledTo: 3 });
  const autoscaling = "cpu is at 140 % of what is wanted: 2 -> 3 tasks";
  const { facts } = explainService(aView({ services: [service] }), service, 0, { autoscaling });
  expect(facts).toContainEqual({ label: "scales itself", value: "3 of 2 to 5 tasks" });
  expect(facts).toContainEqual({ label: "because", value: autoscaling });
});

test("a service's explanation has its names, where traffic goes, and where not and why", () => {
  const network = { network: "shop_front", aliases: ["www"], internal: false };
  const service = aService({ networks: [network] }, { virtualIp: "10.210.240.1" });
  const slow = { slot: "2", health: "starting", address: "10.210.1.3" } as const;
  const failing = Array.from({ length: 12 }, (_, i) => {
    return aTask(service, `f${i}`, { slot: `${i + 3}`, health: "unhealthy" });
  });
  const tasks = [
    aTask(service, "t1", { address: "10.210.1.2", readyAt: 0 }),
    aTask(service, "t2", slow),
    ...failing,
  ];
  const facts = networkFacts(aView({ services: [service], tasks }), service);
  expect(facts.slice(0, 5)).toEqual([
    { label: "names", value: "web, www in shop_front" },
    { label: "virtual address", value: "10.210.240.1" },
    { label: "endpoints", value: "10.210.1.2 on n1" },
    { label: "no traffic goes to", value: "shop/web.2, since it has not answered yet" },
    { label: "no traffic goes to", value: "shop/web.3, since it is unhealthy" },
  ]);
  expect(facts.at(-1)).toEqual({ label: "nor to", value: "5 further tasks" });
});
