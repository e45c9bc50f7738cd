import { describe, expect, test } from "bun:test";
import { lineLog, silentLog } from "../../../src/lib/log.ts";
import { put } from "../../../src/model/change.ts";
import { DiskRelief, imagesToKeep } from "../../../src/server/disk-relief.ts";
import { aContainer, aNode, aService, aView, withNewImage } from "../../builders.ts";
import type { NodeId } from "../../../src/model/ids.ts";
import { withPin } from "../../../src/model/image-pin.ts";
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
    const pin = { id: "a".repeat(64), digest: `sha256:${"b".repeat(64)}` };
    await rig.commit(put.service(withPin(service, 1, aNode("n1"), pin)));
    await rig.connect();
    expect(rig.pruned).toEqual([]);
    await rig.connect({ disk: { level: "low", path: "/", freeBytes: 1, totalBytes: 9 } });
    await rig.pass(2000);
    expect(rig.pruned).toEqual([imagesToKeep(rig.store.view())]);
    expect(rig.pruned[0]).toContain(pin.id);
    relief.close();
  });

  test("keeps the image of each revision once", () => {
    const service = withNewImage(aService({ container: aContainer({ image: "web:1" }) }));
    const images = imagesToKeep(aView({ services: [service] }));
    expect(images).toHaveLength(2);
    expect(images).toContain("web:1");
  });

  test("keeps what revisions are pinned to, which may have lost its name since", async () => {
    const service = aService({ container: aContainer({ image: "site:5000/web:1" }) });
    const pin = { id: "a".repeat(64), digest: `sha256:${"b".repeat(64)}` };
    const pinned = withPin(service, 1, aNode("n1"), pin);
    const images = imagesToKeep(aView({ services: [pinned] }));
    expect(images).toEqual(["site:5000/web:1", `site:5000/web@${pin.digest}`, pin.id].sort());
  });

  test("that can't make room is told of once, and once when it can", async () => {
    const rig = new Rig();
    const said: string[] = [];
    const log = lineLog(
      (line) => void said.push(line.trim()),
      () => "now",
    );
    const session = (nodeId: NodeId) => rig.dispatcher.session(nodeId);
    const relief = new DiskRelief({ store: rig.store, clock: rig.clock, log, session });
    rig.pruneImages = () => Promise.reject(new Error("the runtime is away"));
    await rig.connect({ disk: { level: "low", path: "/", freeBytes: 1, totalBytes: 9 } });
    await rig.pass(20 * 60_000);
    rig.pruneImages = () => Promise.resolve([]);
    await rig.pass(20 * 60_000);
    relief.close();
    expect(said).toEqual([
      "now warn  node n1 made no room: the runtime is away",
      "now info  node n1 makes room again",
    ]);
  });
});
