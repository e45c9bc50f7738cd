import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "bun";
import { hasContainerd, makeContainerdLab, type ContainerdLab } from "./runtime-containerd-lab.ts";
import { takeArchive } from "./runtime-take.ts";
import { aTask } from "./runtime-task.ts";
import { failureOf } from "./runtime-until.ts";

const TIMEOUT_MS = 60_000;
const SUITE = "images of containerd, from registries";
const OWN = process.arch === "x64" ? "amd64" : process.arch;
const TYPES = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar+gzip",
};

describe(SUITE, () => {
  if (!hasContainerd(SUITE)) return;
  let lab: ContainerdLab;
  let registry: ReturnType<typeof Bun.serve>;
  let image: MadeImage;
  const served = new Map<string, { type: string; bytes: Uint8Array }>();
  /** What the registry was asked for without its token. */
  let refused = 0;

  beforeAll(async () => {
    lab = await makeContainerdLab("orchdt8", "10.213.8");
    image = await makeImage(lab.dir);
    for (const blob of image.blobs) served.set(blob.digest, blob);
    served.set("1", image.index);
    registry = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: (request) => answer(request) });
  }, TIMEOUT_MS);

  afterAll(async () => {
    await registry.stop(true);
    await lab.close();
  }, TIMEOUT_MS);

  /** A registry as the large ones are: it gives a token to whoever asks, and needs it. */
  function answer(request: Request): Response {
    const { pathname, origin } = new URL(request.url);
    if (pathname === "/token") return Response.json({ token: "let-me-in" });
    if (request.headers.get("authorization") !== "Bearer let-me-in") {
      refused += 1;
      const challenge = `Bearer realm="${origin}/token",service="here",scope="repository:web:pull"`;
      return new Response("", { status: 401, headers: { "www-authenticate": challenge } });
    }
    const found = served.get(pathname.split("/").at(-1) ?? "");
    if (!pathname.startsWith("/v2/shop/web/") || found === undefined) {
      return new Response("", { status: 404 });
    }
    return new Response(Buffer.from(found.bytes), { headers: { "content-type": found.type } });
  }

  const linesOf = async (reference: string): Promise<string[]> => {
    const assignment = aTask(reference, {}, { command: ["/bin/cat", "/mark"] });
    await lab.runtime.create({ assignment });
    await lab.runtime.start(assignment.taskId);
    const texts: string[] = [];
    const { signal } = new AbortController();
    const lines = lab.runtime.logs(assignment.taskId, { follow: true }, signal);
    for await (const { text } of lines) texts.push(text);
    await lab.runtime.remove(assignment.taskId);
    return texts;
  };

  test("an image is fetched for this machine out of an index, and runs", async () => {
    const reference = `127.0.0.1:${registry.port}/shop/web:1`;
    await lab.runtime.pullImage(reference);
    expect(refused).toBe(1);
    expect(await lab.runtime.imagePlatform(reference)).toBe(`linux/${OWN}`);
    expect(await lab.runtime.imageIdentity(reference)).toEqual({
      id: image.configDigest.replace("sha256:", ""),
      digests: [image.index.digest, image.manifestDigest],
    });
    expect(await linesOf(reference)).toEqual(["from the registry"]);
    const pinned = `127.0.0.1:${registry.port}/shop/web@${image.index.digest}`;
    expect(await linesOf(pinned)).toEqual(["from the registry"]);
    expect(await lab.runtime.hasImage(image.configDigest)).toBe(true);
  });

  test("what its registry lacks, or has for other machines only, is one sentence", async () => {
    const base = `127.0.0.1:${registry.port}/shop/web`;
    const missing = await failureOf(lab.runtime.pullImage(`${base}:2`));
    expect(missing.code).toBe("notFound");
    expect(missing.message).toBe(
      `image ${base}:2 is not on this node and could not be fetched: its registry does not have it`,
    );
    const other = await failureOf(lab.runtime.pullImage(`${base}:1`, "linux/s390x"));
    expect(other.message).toEndWith("its registry has it for other kinds of processor only");
  });

  test("an image that does not say what machine it is for runs", async () => {
    const bare = await makeImage(lab.dir, "from anywhere", {});
    for (const blob of bare.blobs) served.set(blob.digest, blob);
    const manifest = bare.blobs.find(({ digest }) => digest === bare.manifestDigest);
    if (manifest === undefined) throw new Error("the image has a manifest");
    served.set("bare", manifest);
    const reference = `127.0.0.1:${registry.port}/shop/web:bare`;
    await lab.runtime.pullImage(reference);
    expect(await lab.runtime.imagePlatform(reference)).toBeUndefined();
    expect(await linesOf(reference)).toEqual(["from anywhere"]);
  });

  test("a layer that was altered on the way is refused", async () => {
    const [layer] = image.blobs;
    if (layer === undefined) throw new Error("the image has a layer");
    const altered = await makeImage(lab.dir, "altered");
    for (const blob of altered.blobs) served.set(blob.digest, blob);
    served.set("altered", altered.index);
    const [wrong] = altered.blobs;
    served.set(wrong?.digest ?? "", { ...layer, bytes: gzipSync("something else") });
    const name = `127.0.0.1:${registry.port}/shop/web:altered`;
    const error = await failureOf(lab.runtime.pullImage(name));
    expect(error.message).toContain("could not be fetched");
    expect(await lab.runtime.hasImage(name)).toBe(false);
  });

  test(
    "a layer of 40 MB gets through, three times",
    async () => {
      const root = join(lab.dir, "large");
      await mkdir(root);
      for (let i = 0; i < 3; i++) {
        const bytes = Buffer.alloc(40 * 1024 * 1024, i);
        await writeFile(join(root, "layer"), bytes);
        const path = await writeSaved(root, `localhost/large:${i}`);
        await takeArchive(lab.runtime, path);
      }
      expect((await lab.runtime.images()).filter(({ sizeBytes }) => sizeBytes > 4e7)).toHaveLength(
        3,
      );
    },
    2 * TIMEOUT_MS,
  );
});

interface Blob {
  digest: string;
  type: string;
  bytes: Uint8Array;
}

interface MadeImage {
  blobs: Blob[];
  index: Blob;
  configDigest: string;
  manifestDigest: string;
}

/** Busybox and a mark, in one gzipped layer, for this machine and for another one. */
async function makeImage(
  dir: string,
  text = "from the registry",
  platform: object = { os: "linux", architecture: OWN },
): Promise<MadeImage> {
  const root = join(dir, "rootfs");
  await writeFile(join(root, "mark"), `${text}\n`);
  const tar = Buffer.from(await Bun.$`tar -C ${root} -cf - bin mark`.quiet().arrayBuffer());
  const layer = blobOf(TYPES.layer, gzipSync(tar));
  const config = documentOf(TYPES.config, {
    ...platform,
    rootfs: { type: "layers", diff_ids: [digestOf(tar)] },
  });
  const manifest = documentOf(TYPES.manifest, {
    schemaVersion: 2,
    mediaType: TYPES.manifest,
    config: describing(config),
    layers: [describing(layer)],
  });
  const forArm = { ...describing(config), mediaType: TYPES.manifest };
  const index = documentOf(TYPES.index, {
    schemaVersion: 2,
    mediaType: TYPES.index,
    manifests: [
      { ...forArm, platform: { os: "linux", architecture: "mips64le" } },
      { ...describing(manifest), platform: { os: "linux", architecture: OWN } },
    ],
  });
  const blobs = [layer, config, manifest, index];
  return { blobs, index, configDigest: config.digest, manifestDigest: manifest.digest };
}

/** An archive as `docker save` writes it, of the directory's file `layer`. */
async function writeSaved(root: string, name: string): Promise<string> {
  await Bun.$`tar -C ${root} -cf ${join(root, "layer.tar")} layer`.quiet();
  const tar = new Uint8Array(await Bun.file(join(root, "layer.tar")).arrayBuffer());
  const rootfs = { type: "layers", diff_ids: [digestOf(tar)] };
  const config = { os: "linux", architecture: OWN, config: { Cmd: ["/layer"] }, rootfs };
  const manifest = [{ Config: "config.json", RepoTags: [name], Layers: ["layer.tar"] }];
  await writeFile(join(root, "config.json"), JSON.stringify(config));
  await writeFile(join(root, "manifest.json"), JSON.stringify(manifest));
  const path = join(root, "image.tar");
  await Bun.$`tar -C ${root} -cf ${path} layer.tar config.json manifest.json`.quiet();
  return path;
}

function documentOf(type: string, value: object): Blob {
  return blobOf(type, new TextEncoder().encode(JSON.stringify(value)));
}

function blobOf(type: string, bytes: Uint8Array): Blob {
  return { digest: digestOf(bytes), type, bytes };
}

function describing({ type, digest, bytes }: Blob) {
  return { mediaType: type, digest, size: bytes.length };
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
}
