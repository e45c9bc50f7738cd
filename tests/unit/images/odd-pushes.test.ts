import { describe, expect, test } from "bun:test";
import type { ImageStore } from "../../../src/images/image-store.ts";
import { aRegistry, anImage, give, giveBlob, OCI_MANIFEST, sha256, withStore } from "./rig.ts";

type Ask = (method: string, path: string, init?: RequestInit) => Promise<Response>;

const text = Buffer.from("the bytes of a blob");
const DIGEST = sha256(text);

function withRegistry(run: (ask: Ask, store: ImageStore) => Promise<void>): Promise<void> {
  return withStore(async (store) => {
    const registry = aRegistry(store);
    try {
      await run((method, path, init) => {
        const url = `http://registry${path.startsWith("/") ? path : `/v2/web/${path}`}`;
        return registry.answer(new Request(url, { ...init, method }));
      }, store);
    } finally {
      await registry.close();
    }
  });
}

async function begin(ask: Ask): Promise<string> {
  return (await ask("POST", "blobs/uploads/")).headers.get("location") ?? "";
}

async function codeOf(answer: Promise<Response>): Promise<string | undefined> {
  const body = (await (await answer).json()) as { errors: { code: string }[] };
  return body.errors[0]?.code;
}

function putManifest(ask: Ask, manifest: object, type = OCI_MANIFEST): Promise<Response> {
  const headers = { "content-type": type };
  return ask("PUT", "manifests/1", { body: JSON.stringify(manifest), headers });
}

describe("pushes of the same blob", () => {
  test("that overlap end well, each of them", () =>
    withRegistry(async (ask, store) => {
      const places = [await begin(ask), await begin(ask), await begin(ask)];
      for (const at of places) await ask("PATCH", at, { body: text.subarray(0, 7) });
      for (const at of places) await ask("PATCH", at, { body: text.subarray(7) });
      for (const at of places) {
        expect((await ask("PUT", `${at}?digest=${DIGEST}`)).status).toBe(201);
      }
      expect(Buffer.from((await store.blobs.readSmall(DIGEST, 100)) ?? [])).toEqual(text);
    }));

  test("that lie leave the true one as it is", () =>
    withRegistry(async (ask, store) => {
      await giveBlob(store, text);
      const at = await begin(ask);
      const lie = ask("PUT", `${at}?digest=${DIGEST}`, { body: "something else" });
      expect(await codeOf(lie)).toBe("DIGEST_INVALID");
      expect(Buffer.from((await store.blobs.readSmall(DIGEST, 100)) ?? [])).toEqual(text);
    }));

  test("one upload is written by one request at a time", () =>
    withRegistry(async (ask) => {
      const at = await begin(ask);
      const gate = Promise.withResolvers<void>();
      const slow = new ReadableStream<Uint8Array>({
        async start(controller) {
          controller.enqueue(new Uint8Array(text));
          await gate.promise;
          controller.close();
        },
      });
      const first = ask("PATCH", at, { body: slow });
      expect(await codeOf(ask("PATCH", at, { body: "x" }))).toBe("BLOB_UPLOAD_INVALID");
      gate.resolve();
      expect((await first).status).toBe(202);
      expect((await ask("PUT", `${at}?digest=${DIGEST}`)).status).toBe(201);
    }));

  test("that stop in the middle go on with what is missing", () =>
    withRegistry(async (ask) => {
      const at = await begin(ask);
      const broken = new ReadableStream<Uint8Array>({
        pull(controller) {
          controller.enqueue(new Uint8Array(text.subarray(0, 5)));
          controller.error(new Error("the client went away"));
        },
      });
      await ask("PATCH", at, { body: broken });
      const { headers } = await ask("GET", at);
      const there = Number(headers.get("range")?.split("-")[1]) + 1;
      const from = there <= 1 ? 0 : there;
      await ask("PATCH", at, { body: text.subarray(from) });
      expect((await ask("PUT", `${at}?digest=${DIGEST}`)).status).toBe(201);
    }));
});

describe("a manifest", () => {
  const { config, layer } = anImage();
  const of = (bytes: Uint8Array, mediaType = "application/octet-stream") => ({
    mediaType,
    digest: sha256(bytes),
    size: bytes.length,
  });
  const usual = { schemaVersion: 2, config: of(config), layers: [of(layer)] };

  async function withBlobs(run: (ask: Ask) => Promise<void>): Promise<void> {
    await withRegistry(async (ask, store) => {
      for (const bytes of [config, layer]) await giveBlob(store, bytes);
      await run(ask);
    });
  }

  test("with layers without end is refused, and so is one with a few too many", () =>
    withBlobs(async (ask) => {
      const many = (count: number) => ({ ...usual, layers: Array(count).fill(of(layer)) });
      expect((await putManifest(ask, many(40_000))).status).toBe(413);
      expect(await codeOf(putManifest(ask, many(513)))).toBe("MANIFEST_INVALID");
      expect((await putManifest(ask, many(512))).status).toBe(201);
    }));

  test("may lack layers that may not be passed on, and no others", () =>
    withBlobs(async (ask) => {
      const absent = Buffer.from("from elsewhere");
      for (const type of [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
      ]) {
        const foreign = { ...usual, layers: [of(layer), of(absent, type)] };
        expect((await putManifest(ask, foreign)).status).toBe(201);
      }
      const lacking = { ...usual, layers: [of(absent)] };
      expect(await codeOf(putManifest(ask, lacking))).toBe("MANIFEST_BLOB_UNKNOWN");
    }));

  test.each([
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/json",
    "text/html",
  ])("of the type %s is refused", (type) =>
    withBlobs(async (ask) => {
      expect(await codeOf(putManifest(ask, usual, type))).toBe("MANIFEST_INVALID");
    }),
  );

  test("that lies about the size of a layer is refused", () =>
    withBlobs(async (ask) => {
      const lying = { ...usual, layers: [{ ...of(layer), size: layer.length + 1 }] };
      expect(await codeOf(putManifest(ask, lying))).toBe("MANIFEST_INVALID");
    }));

  test("pushed as latest takes the place of the one before, which its digest still means", () =>
    withRegistry(async (ask, store) => {
      const repository = "docker.io/library/web";
      const before = await give(store, repository, "latest", anImage("before"));
      const after = await give(store, repository, "latest", anImage("after"));
      const head = await ask("HEAD", "manifests/latest");
      expect(head.headers.get("docker-content-digest")).toBe(after);
      expect((await ask("GET", `manifests/${before}`)).status).toBe(200);
    }));
});
