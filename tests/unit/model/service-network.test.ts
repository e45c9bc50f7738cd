import { describe, expect, test } from "bun:test";
import { clusterSchema } from "../../../src/model/cluster.ts";
import {
  sameTemplate,
  serviceSchema,
  specOf,
  type ServiceSpec,
} from "../../../src/model/service.ts";
import { attachmentsOf } from "../../../src/model/service-network.ts";
import { aCluster, aContainer, aService, aSpec } from "../../builders.ts";

/** As JSON, without what did not exist yet. */
function without(value: object, ...keys: string[]): unknown {
  return JSON.parse(JSON.stringify(value), (key, part: unknown) =>
    keys.includes(key) ? undefined : part,
  );
}

const shared = { network: "shared", aliases: ["db"], internal: true };

describe("what an older orchd wrote", () => {
  test("is a service in its stack's default network, without a virtual address", () => {
    const stored = serviceSchema.parse(without(aService(), "networks"));
    expect(specOf(stored).networks).toEqual([]);
    expect(stored.virtualIp).toBeUndefined();
    expect(attachmentsOf(stored.stack, specOf(stored))).toEqual([
      { network: "shop_default", aliases: [], internal: false },
    ]);
  });

  test("is a cluster with the range and the way between nodes of then", () => {
    const stored = clusterSchema.parse(without(aCluster(), "range", "networkMode"));
    expect([stored.range, stored.networkMode]).toEqual(["10.210.0.0/16", "vxlan"]);
  });
});

describe("the networks of a service", () => {
  test("are those that it names, and none where its tasks have none of their own", () => {
    expect(attachmentsOf("shop", aSpec({ networks: [shared] }))).toEqual([shared]);
    for (const networkMode of ["host", "none"] as const) {
      expect(attachmentsOf("shop", aSpec({ container: aContainer({ networkMode }) }))).toEqual([]);
    }
  });

  test("can be other ones without a new task, as can aliases, its address and stickiness", () => {
    const before = aSpec();
    const others: Partial<ServiceSpec>[] = [
      { networks: [shared] },
      { networks: [{ ...shared, aliases: ["database"] }] },
      { endpointMode: "dnsrr" },
      { stickyMs: 1000 },
    ];
    for (const over of others) expect(sameTemplate(before, aSpec(over))).toBe(true);
  });
});
