import { expect, test } from "bun:test";
import type { Mount } from "../../src/model/container.ts";
import { aTask } from "./runtime-task.ts";
import type { Tools } from "./runtime.ts";
import { failureOf } from "./runtime-until.ts";

const MISSING = "missing.invalid/web:1";

export function imageCases({ lab }: Tools): void {
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

  test("an archive is loaded and answers its references, which are there then", async () => {
    const references = await lab().runtime.loadImage(lab().archive());
    expect(references).toHaveLength(1);
    const [reference = ""] = references;
    expect(await lab().runtime.hasImage(reference)).toBe(true);
    const images = await lab().runtime.images();
    const found = images.find((image) => image.references.includes(reference));
    expect(found?.sizeBytes).toBeGreaterThan(0);
  });

  test("a damaged archive is refused in one sentence", async () => {
    const noise = new Response(new Uint8Array(100_000).fill(7)).body;
    if (noise === null) throw new Error("a response with bytes has a body");
    const error = await failureOf(lab().runtime.loadImage(noise));
    expect(error.code).toBe("invalid");
    expect(error.message).toStartWith("the file is damaged or is no image archive");
  });
}

export function networkCases({ lab }: Tools): void {
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

export function volumeCases({ lab }: Tools): void {
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
