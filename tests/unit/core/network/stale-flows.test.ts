import { expect, test } from "bun:test";
import { staleFlows } from "../../../../src/core/network/stale-flows.ts";
import { aMap, aMapService, aMapTask, anId, aPort } from "../../../builders.ts";

const OWN = anId<"node">("n1");
const services = [
  aMapService("web", { ports: [aPort({ published: 53, protocol: "udp" }), aPort({})] }),
];
const NOBODY = aMap({ services });
const READY = aMap({ services, tasks: [aMapTask("t1")] });
const DRAINING = aMap({ services, tasks: [aMapTask("t1", { isReady: false })] });

test("flows to a task that gets no traffic any more are stale", () => {
  expect(staleFlows(READY, DRAINING, OWN)?.addresses).toEqual(new Set(["10.210.1.2"]));
  expect(staleFlows(READY, NOBODY, OWN)?.addresses).toEqual(new Set(["10.210.1.2"]));
});

test("flows to its IPv6 address are so too where it has one", () => {
  const range6 = "fd00::/96";
  const stale = staleFlows({ ...READY, range6 }, { ...DRAINING, range6 }, OWN);
  expect(stale?.addresses).toEqual(new Set(["10.210.1.2", "fd00::ad2:102"]));
  expect([stale?.hasIpv6, staleFlows(READY, DRAINING, OWN)?.hasIpv6]).toEqual([true, false]);
});

test("flows to a UDP port from the time without tasks are stale", () => {
  expect(staleFlows(NOBODY, READY, OWN)?.ports).toEqual(new Set([53]));
});

test("no flow is stale when the same tasks are ready, or when nothing was known before", () => {
  expect(staleFlows(READY, READY, OWN)).toBeUndefined();
  expect(staleFlows(undefined, READY, OWN)).toBeUndefined();
});
