import { describe, expect, test } from "bun:test";
import { silentLog } from "../../../src/lib/log.ts";
import { put } from "../../../src/model/change.ts";
import { DiskRelief, neededImages } from "../../../src/server/disk-relief.ts";
import { aContainer, aService, aView, withNewImage } from "../../builders.ts";
import { Rig } from "./rig.ts";

describe("a node with too little room on its disk", () => {
  test("is told which images are needed: those of all revisions that are kept", async () => {
    const rig = new Rig();
    const relief = new DiskRelief({
      store: rig.store,
      clock: rig.clock,
      log: silentLog,
      session: (nodeId) => rig.dispatcher.session(nodeId),
    });
    const service = withNewImage(aService({ container: aContainer({ image: "web:1" }) }));
    await rig.commit(put.service(service));
    await rig.connect();
    expect(rig.pruned).toEqual([]);
    await rig.connect({ disk: { level: "low", path: "/", freeBytes: 1, totalBytes: 9 } });
    await rig.pass(2000);
    expect(rig.pruned).toEqual([neededImages(rig.store.view())]);
    relief.close();
  });

  test("keeps the image of each revision once", () => {
    const service = withNewImage(aService({ container: aContainer({ image: "web:1" }) }));
    const images = neededImages(aView({ services: [service] }));
    expect(images).toHaveLength(2);
    expect(images).toContain("web:1");
  });
});
