import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { writeTar } from "../../../scripts/tar.ts";
import { messageOf } from "../../../src/lib/errors.ts";
import { loadArchive } from "../../../src/images/load-archive.ts";
import { saveArchive } from "../../../src/images/save-archive.ts";
import {
  anImage,
  anIndex,
  blobFile,
  dockerArchive,
  file,
  ociArchive,
  sha256,
  streamOf,
  withStore,
} from "./rig.ts";

const digestOf = (bytes: Uint8Array) => sha256(bytes);

/** Why an archive is refused, and what is left of it in the store that anybody could see. */
function refusalOf(archive: Uint8Array): Promise<string> {
  return withStore(async (store, dir) => {
    const message = await loadArchive(store, streamOf(archive)).then(String, messageOf);
    expect(store.entries()).toEqual([]);
    expect(readdirSync(join(dir, "drafts"))).toEqual([]);
    return message;
  });
}

describe("loading an archive", () => {
  test("takes a docker-archive, under all of its names in full", () =>
    withStore(async (store) => {
      const archive = dockerArchive(["web:1", "registry.example:5000/team/web:1"]);
      expect(await loadArchive(store, streamOf(archive))).toEqual([
        "docker.io/library/web:1",
        "registry.example:5000/team/web:1",
      ]);
      const [one, other] = await store.images();
      expect(one).toMatchObject({ reference: "docker.io/library/web:1", isCopy: false });
      expect(other?.digest).toBe(one?.digest ?? "");
    }));

  test("takes an OCI archive in pieces of any size, with the digest that it has", () =>
    withStore(async (store) => {
      const image = anImage();
      for (const pieceBytes of [1, 511, 512, 100_000]) {
        const archive = streamOf(ociArchive("localhost/web:1", image), pieceBytes);
        expect(await loadArchive(store, archive)).toEqual(["localhost/web:1"]);
      }
      expect((await store.images()).map(({ digest }) => digest)).toEqual([
        digestOf(image.manifest),
      ]);
    }));

  test("takes one that is compressed as a whole", () =>
    withStore(async (store) => {
      const archive = new Uint8Array(gzipSync(ociArchive("localhost/web:1")));
      expect(await loadArchive(store, streamOf(archive, 77))).toEqual(["localhost/web:1"]);
    }));

  test("takes an index that lacks what is for other machines, as docker save writes it", () =>
    withStore(async (store) => {
      const [here, elsewhere] = [anImage("here"), anImage("elsewhere")];
      const index = anIndex([here.manifest, elsewhere.manifest]);
      const archive = layoutOf(index, [here.layer, here.config, here.manifest]);
      expect(await loadArchive(store, streamOf(archive))).toEqual(["localhost/web:1"]);
      expect((await store.images())[0]?.platforms).toEqual(["linux/amd64"]);
    }));

  test("what was saved is the same when it is loaded elsewhere", () =>
    withStore(async (from) => {
      await loadArchive(from, streamOf(dockerArchive(["web:1"])));
      const { pieces, references } = await saveArchive(from, ["web:1"]);
      expect(references).toEqual(["docker.io/library/web:1"]);
      await withStore(async (to) => {
        expect(await loadArchive(to, pieces)).toEqual(references);
        const digests = async (store: typeof to) => (await store.images()).map((one) => one.digest);
        expect(await digests(to)).toEqual(await digests(from));
      });
    }));
});

describe("an archive is refused", () => {
  test("when it is cut off, wherever that is", async () => {
    const archive = ociArchive("localhost/web:1");
    for (const bytes of [0, 1, 512, 700, archive.length - 1024]) {
      expect(await refusalOf(archive.subarray(0, bytes))).toMatch(/cut off|no tar archive/);
    }
    const compressed = new Uint8Array(gzipSync(archive));
    expect(await refusalOf(compressed.subarray(0, compressed.length - 20))).toContain("cut off");
  });

  test("when a blob is not what its name says", async () => {
    const { layer, config, manifest } = anImage();
    const index = anIndex([manifest]);
    const lying = Buffer.from(layer);
    lying[0] = 0;
    const archive = layoutOf(index, [config, manifest], [blobFile(lying, digestOf(layer))]);
    expect(await refusalOf(archive)).toBe(
      "the archive is refused: a blob in it is not what its name says",
    );
  });

  test("when sizes or layers are not as it says", async () => {
    const { layer, config, manifest } = anImage();
    const wrongSize = Buffer.from(manifest.toString().replace(/"size":\d+/, '"size":7'));
    expect(await refusalOf(layoutOf(anIndex([wrongSize]), [layer, config, wrongSize]))).toMatch(
      /^the blob sha256:\w+ has \d+ bytes, and not 7 as is said of it$/,
    );
    const other = { ...anImage(), layer: Buffer.from("another layer") };
    expect(await refusalOf(dockerArchive(["web:1"], other))).toBe(
      "the archive is refused: its layers are not those that its configuration names",
    );
  });

  test("when a name or a link leads out of it", async () => {
    for (const name of ["../escape", "/etc/passwd", "a/../../b"]) {
      expect(await refusalOf(writeTar([file(name, "x")]))).toContain("leads out of the archive");
    }
    const link = writeTar([{ name: "layer.tar", type: "link", target: "../../etc/shadow" }]);
    expect(await refusalOf(link)).toContain("links to what is not in the archive");
  });

  test("when it is a bomb", async () => {
    const zeros = writeTar([file("layer.tar", new Uint8Array(80 * 1024 * 1024))]);
    expect(await refusalOf(new Uint8Array(gzipSync(zeros)))).toBe(
      "the archive is refused: it is far larger than any image when it is unpacked",
    );
  });

  test("when it holds something else, or nothing with a name", async () => {
    expect(await refusalOf(Buffer.from("no tar at all ".repeat(100)))).toContain("no tar archive");
    expect(await refusalOf(writeTar([file("readme", "x")]))).toContain("it holds no image");
    expect(await refusalOf(dockerArchive([]))).toContain("have no names");
    expect(await refusalOf(dockerArchive(["UPPER case"]))).toContain("is no name of an image");
  });

  test("when there are too many layers, or media types of no image", async () => {
    const { layer, config } = anImage();
    const descriptor = { mediaType: "x", digest: digestOf(layer), size: layer.length };
    const many = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        config: { ...descriptor, digest: digestOf(config), size: config.length },
        layers: Array.from({ length: 5000 }, () => descriptor),
      }),
    );
    const message = await refusalOf(layoutOf(anIndex([many]), [layer, config, many]));
    expect(message).toContain("the manifest is refused: layers too big");
    const typed = { mediaType: "application/x-html", digest: digestOf(layer), size: layer.length };
    const index = JSON.stringify({ schemaVersion: 2, manifests: [typed] });
    expect(await refusalOf(writeTar([file("index.json", index), blobFile(layer)]))).toBe(
      'the archive is refused: it holds "application/x-html", which is no image',
    );
  });
});

/** An OCI layout whose one name means an index. */
function layoutOf(
  index: Uint8Array,
  blobs: readonly Uint8Array[],
  more: ReturnType<typeof file>[] = [],
): Uint8Array {
  const entry = {
    mediaType: "application/vnd.oci.image.index.v1+json",
    digest: digestOf(index),
    size: index.length,
    annotations: { "io.containerd.image.name": "localhost/web:1" },
  };
  return writeTar([
    file("index.json", JSON.stringify({ schemaVersion: 2, manifests: [entry] })),
    ...[index, ...blobs].map((bytes) => blobFile(bytes)),
    ...more,
  ]);
}
