import { describe, expect, test } from "bun:test";
import { isVirtual } from "../../../src/core/network/subnets.ts";
import { OrchdError } from "../../../src/lib/errors.ts";
import { silentLog } from "../../../src/lib/log.ts";
import { seededRandom } from "../../../src/lib/random.ts";
import { put, remove } from "../../../src/model/change.ts";
import type { ServiceSpec } from "../../../src/model/service.ts";
import { VirtualIps } from "../../../src/server/virtual-ips.ts";
import { Writes } from "../../../src/server/writes.ts";
import { aCluster, aContainer, anId, aService, aSpec } from "../../builders.ts";
import { Rig } from "./rig.ts";

const RANGE = "10.210.0.0/16";
const host = { container: aContainer({ networkMode: "host" }) };

async function aServer() {
  const rig = new Rig();
  await rig.commit(put.cluster(aCluster()));
  const writes = new Writes(rig.store, rig.clock, seededRandom("writes"));
  const apply = async (services: Record<string, ServiceSpec>) => {
    const spec = { services, volumes: [] };
    const options = { dryRun: false, prune: false };
    await Promise.all([writes.applyStack("shop", spec, options), rig.pass(100)]);
  };
  const of = (name: string) => rig.store.view().serviceNamed("shop", name);
  return { rig, writes, apply, of };
}

describe("a service's virtual address", () => {
  test("is given with the service, and stays whatever becomes of its spec", async () => {
    const { apply, of } = await aServer();
    await apply({ web: aSpec(), db: aSpec() });
    const [web, db] = [of("web")?.virtualIp ?? "", of("db")?.virtualIp ?? ""];
    expect([isVirtual(RANGE, web), isVirtual(RANGE, db), web === db]).toEqual([true, true, false]);
    for (const over of [{ endpointMode: "dnsrr" }, host, { replicas: 3 }] as const) {
      await apply({ web: aSpec(over), db: aSpec() });
      expect(of("web")?.virtualIp).toBe(web);
    }
  });

  test("is none where names stand for tasks, or tasks have no network, until then", async () => {
    const { apply, of } = await aServer();
    await apply({ web: aSpec({ endpointMode: "dnsrr" }), db: aSpec(host) });
    expect([of("web")?.virtualIp, of("db")?.virtualIp]).toEqual([undefined, undefined]);
    await apply({ web: aSpec(), db: aSpec(host) });
    expect(isVirtual(RANGE, of("web")?.virtualIp ?? "")).toBe(true);
  });

  test("is free again when the service is gone", async () => {
    const { rig, apply, of } = await aServer();
    await apply({ web: aSpec() });
    const web = of("web");
    if (web === undefined) throw new Error("it was applied");
    await rig.commit(remove.service(web));
    const again = aService({}, { id: web.id });
    const ips = new VirtualIps({ store: rig.store, clock: rig.clock, log: silentLog });
    await rig.commit(put.service(again));
    expect(rig.store.view().services.get(web.id)?.virtualIp).toBe(web.virtualIp);
    ips.close();
  });

  test("comes to services of before there were any, when the server starts", async () => {
    const { rig } = await aServer();
    await rig.commit(put.service(aService()), put.service(aService(host, { id: anId("h") })));
    const ips = new VirtualIps({ store: rig.store, clock: rig.clock, log: silentLog });
    ips.start();
    await rig.pass(1000);
    const { services } = rig.store.view();
    const given = [...services.values()].map(({ virtualIp }) => virtualIp !== undefined);
    expect(given).toEqual([true, false]);
    ips.close();
  });

  test("is refused in one sentence when all are taken, and nothing is written", async () => {
    const { rig, apply, of } = await aServer();
    const held = rig.store.view().cluster ?? aCluster();
    await rig.commit(put.cluster({ ...held, range: "10.210.0.0/20" }));
    const all = Array.from({ length: 254 }, (_, i) =>
      put.service(
        aService({}, { id: anId(`s${i}`), name: `s${i}`, virtualIp: `10.210.15.${i + 1}` }),
      ),
    );
    await rig.commit(...all);
    const refusal = await apply({ web: aSpec() }).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(OrchdError);
    expect(refusal).toMatchObject({
      code: "conflict",
      message:
        "every virtual address of 10.210.15.0/24 is taken: remove services, or give shop/web " +
        "deploy.endpoint_mode: dnsrr, which needs none",
    });
    expect(of("web")).toBeUndefined();
  });
});
