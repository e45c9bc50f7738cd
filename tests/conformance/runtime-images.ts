import { expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { wireNameOf } from "../../src/core/oci/reference.ts";
import { serveRegistry } from "../../src/images/listen.ts";
import { loadArchive } from "../../src/images/load-archive.ts";
import { aRegistry, openStore, quiet } from "../unit/images/rig.ts";
import type { Mount } from "../../src/model/container.ts";
import { aTask } from "./runtime-task.ts";
import type { Tools } from "./runtime.ts";
import { failureOf } from "./runtime-until.ts";

const MISSING = "missing.invalid/web:1";

export function imageCases({ lab, test }: Tools): void {
  test("an image that is there is there, and another is not", async () => {
    expect(await lab().runtime.hasImage(lab().image)).toBe(true);
    expect(await lab().runtime.hasImage(MISSING)).toBe(false);
  });

  test("an image that no registry gave has an identity and no digest", async () => {
    const { runtime, image } = lab();
    const found = await runtime.imageIdentity(image);
    expect(found?.id).not.toBe("");
    expect(found?.digests).toEqual([]);
    expect(await runtime.imageIdentity(MISSING)).toBeUndefined();
  });

  test("an image says what machine it is for, or nothing; a missing one does not", async () => {
    const platform = await lab().runtime.imagePlatform(lab().image);
    expect(platform ?? "linux/amd64").toMatch(/^linux\/(amd64|arm64)$/);
    expect(await lab().runtime.imagePlatform(MISSING)).toBeUndefined();
  });

  test("an image that can't be fetched is one sentence with its name", async () => {
    const error = await failureOf(lab().runtime.pullImage(MISSING));
    expect(error.message).toMatch(
      /^image missing\.invalid\/web:1 is not on this node and could not be fetched: /,
    );
    expect(error.message).not.toContain("\n");
  });

  test("an image is taken from a registry of this machine, under a name of its own", async () => {
    const dir = mkdtempSync(join(tmpdir(), "orchd-taken-"));
    const store = await openStore(dir);
    const listener = serveRegistry({ registry: aRegistry(store), log: quiet, port: 0 });
    try {
      await loadArchive(store, lab().archive());
      const [kept] = store.entries();
      if (kept?.tag === undefined) throw new Error("the lab's archive has an image with a name");
      const from = `${listener.address}/${wireNameOf(kept.repository)}:${kept.tag}`;
      const repository = "registry.invalid:5000/taken";
      await lab().runtime.takeImage({ from, repository, tag: "1" });
      const images = await lab().runtime.images();
      const names = images.flatMap(({ references }) => references);
      expect(names).toContain(`${repository}:1`);
      expect(names).not.toContain(from);
    } finally {
      await listener.close();
      rmSync(dir, { recursive: true });
    }
  });
}

export function networkCases({ lab, test }: Tools): void {
  test("the node's network can be asked for again, but not with another subnet", async () => {
    const { runtime, network } = lab();
    await runtime.ensureNetwork(network);
    const other = { ...network, subnet: "10.213.250.0/24", gateway: "10.213.250.1" };
    const error = await failureOf(runtime.ensureNetwork(other));
    expect(error.code).toBe("conflict");
    expect(error.message).toContain(network.subnet);
  });

  test("a task has the address that it was given, and no two at once", async () => {
    const { runtime, network } = lab();
    const address = network.gateway.replace(/\.1$/, ".77");
    const first = aTask(lab().image, {}, { networkMode: "bridge" });
    const second = aTask(lab().image, {}, { networkMode: "bridge" });
    try {
      await runtime.create({ assignment: first, address });
      await runtime.start(first.taskId);
      expect(await runtime.inspect(first.taskId)).toMatchObject({ address, state: "running" });
      await runtime.create({ assignment: second, address });
      const error = await failureOf(runtime.start(second.taskId));
      expect(error.message).toBe(`the address ${address} is taken on the node's network`);
      await runtime.remove(first.taskId);
      await runtime.start(second.taskId);
      expect(await runtime.inspect(second.taskId)).toMatchObject({ address, state: "running" });
    } finally {
      await runtime.remove(first.taskId);
      await runtime.remove(second.taskId);
    }
  });

  test("what an earlier try made for another address is made anew", async () => {
    const { runtime, network } = lab();
    const [one, two] = [".78", ".79"].map((end) => network.gateway.replace(/\.1$/, end));
    const assignment = aTask(lab().image, {}, { networkMode: "bridge" });
    try {
      await runtime.create({ assignment, ...(one === undefined ? {} : { address: one }) });
      await runtime.create({ assignment, ...(two === undefined ? {} : { address: two }) });
      expect(await runtime.list()).toMatchObject([{ taskId: assignment.taskId, address: two }]);
    } finally {
      await runtime.remove(assignment.taskId);
    }
  });
}

export function volumeCases({ lab, test }: Tools): void {
  const volume = (change: Partial<Extract<Mount, { type: "volume" }>> = {}) => ({
    type: "volume" as const,
    volume: `shop_data${process.pid}`,
    target: "/data",
    readOnly: false,
    noCopy: false,
    external: false,
    driverOptions: {},
    labels: {},
    ...change,
  });

  test("a volume is made once, and removed when asked, even if it is gone", async () => {
    const { runtime } = lab();
    const mount = volume();
    await runtime.ensureVolume(mount);
    await runtime.ensureVolume(mount);
    await runtime.ensureVolume({ ...mount, external: true });
    await runtime.removeVolume(mount.volume);
    await runtime.removeVolume(mount.volume);
    const error = await failureOf(runtime.ensureVolume({ ...mount, external: true }));
    expect(error.code).toBe("notFound");
  });
}
