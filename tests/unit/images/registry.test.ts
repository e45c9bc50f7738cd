import { describe, expect, test } from "bun:test";
import type { ImageStore } from "../../../src/images/image-store.ts";
import { aRegistry, anImage, anIndex, give, OCI_MANIFEST, sha256, withStore } from "./rig.ts";

type Ask = (method: string, path: string, init?: RequestInit) => Promise<Response>;

function withRegistry<T>(run: (ask: Ask, store: ImageStore) => Promise<T>): Promise<T> {
  return withStore(async (store) => {
    const registry = aRegistry(store);
    const ask: Ask = (method, path, init) => {
      const url = path.startsWith("http") ? path : `http://registry${path}`;
      return registry.answer(new Request(url, { ...init, method }));
    };
    try {
      return await run(ask, store);
    } finally {
      await registry.close();
    }
  });
}

async function codeOf(response: Promise<Response>): Promise<[number, string | undefined]> {
  const { status, body } = await response.then(async (one) => ({
    status: one.status,
    body: (await one.json()) as { errors: { code: string }[] },
  }));
  return [status, body.errors[0]?.code];
}

async function pushBlob(ask: Ask, bytes: Uint8Array): Promise<Response> {
  const begun = await ask("POST", "/v2/web/blobs/uploads/");
  const digest = encodeURIComponent(sha256(bytes));
  return ask("PUT", `${begun.headers.get("location")}?digest=${digest}`, { body: bytes });
}

function pushManifest(ask: Ask, reference: string, manifest: Uint8Array, type = OCI_MANIFEST) {
  const headers = { "content-type": type };
  return ask("PUT", `/v2/web/manifests/${reference}`, { body: manifest, headers });
}

describe("pulling", () => {
  test("gives manifests by tag and digest, with their digest, and blobs in ranges", () =>
    withRegistry(async (ask, store) => {
      const image = anImage();
      const digest = await give(store, "docker.io/library/web", "1", image);
      for (const reference of ["1", digest]) {
        const manifest = await ask("GET", `/v2/web/manifests/${reference}`);
        expect(manifest.headers.get("docker-content-digest")).toBe(digest);
        expect(manifest.headers.get("content-type")).toBe(OCI_MANIFEST);
        expect(await manifest.text()).toBe(Buffer.from(image.manifest).toString());
      }
      const blob = `/v2/docker.io/library/web/blobs/${sha256(image.layer)}`;
      const head = await ask("HEAD", blob);
      expect([head.status, head.headers.get("content-length")]).toEqual([
        200,
        String(image.layer.length),
      ]);
      const part = await ask("GET", blob, { headers: { range: "bytes=2-4" } });
      expect([part.status, await part.text()]).toEqual([206, "lay"]);
      expect(part.headers.get("content-range")).toBe(`bytes 2-4/${image.layer.length}`);
      const end = await ask("GET", blob, { headers: { range: "bytes=-5" } });
      expect(await end.text()).toBe("hello");
      const beyond = ask("GET", blob, { headers: { range: "bytes=900-" } });
      expect(await codeOf(beyond)).toEqual([416, "RANGE_INVALID"]);
    }));

  test("says in the specification's words what is not there", () =>
    withRegistry(async (ask) => {
      const digest = sha256("none");
      expect(await codeOf(ask("GET", "/v2/web/manifests/1"))).toEqual([404, "MANIFEST_UNKNOWN"]);
      expect(await codeOf(ask("GET", `/v2/web/blobs/${digest}`))).toEqual([404, "BLOB_UNKNOWN"]);
      expect(await codeOf(ask("GET", "/v2/web/blobs/md5:1"))).toEqual([400, "DIGEST_INVALID"]);
      expect(await codeOf(ask("GET", "/v2/web/tags/list"))).toEqual([404, "NAME_UNKNOWN"]);
      for (const name of ["WEB", "a..b", "%2e%2e/etc", "a//b", "-a"]) {
        const [status] = await codeOf(ask("GET", `/v2/${name}/manifests/1`));
        expect([name, status]).toEqual([name, name.startsWith("%2e") ? 404 : 400]);
      }
      expect(await codeOf(ask("GET", "/v2/web/else"))).toEqual([404, "NAME_UNKNOWN"]);
    }));
});

describe("pushing", () => {
  test("takes blobs at once and in chunks, and goes on where the last chunk ended", () =>
    withRegistry(async (ask) => {
      const { layer, config, manifest } = anImage();
      expect((await pushBlob(ask, config)).status).toBe(201);
      const begun = await ask("POST", "/v2/web/blobs/uploads/");
      const place = begun.headers.get("location") ?? "";
      const chunk = (start: number, end: number) =>
        ask("PATCH", place, {
          body: new Uint8Array(layer.subarray(start, end)),
          headers: { "content-range": `${start}-${end - 1}` },
        });
      expect((await chunk(0, 4)).status).toBe(202);
      expect(await codeOf(chunk(6, 8))).toEqual([416, "RANGE_INVALID"]);
      const progress = await ask("GET", place);
      expect([progress.status, progress.headers.get("range")]).toEqual([204, "0-3"]);
      expect((await chunk(4, layer.length)).status).toBe(202);
      const digest = encodeURIComponent(sha256(layer));
      expect((await ask("PUT", `${place}?digest=${digest}`)).status).toBe(201);
      expect((await pushManifest(ask, "1", manifest)).status).toBe(201);
      expect(await (await ask("GET", "/v2/web/tags/list")).json()).toEqual({
        name: "web",
        tags: ["1"],
      });
    }));

  test("mounts a blob that is here, and begins an upload of one that is not", () =>
    withRegistry(async (ask, store) => {
      const image = anImage();
      await give(store, "docker.io/library/web", "1", image);
      const mount = (digest: string) =>
        ask("POST", `/v2/other/blobs/uploads/?mount=${digest}&from=web`);
      expect((await mount(sha256(image.layer))).status).toBe(201);
      expect((await mount(sha256("none"))).status).toBe(202);
    }));

  test("refuses what is not what it was said to be, and leaves nothing of it", () =>
    withRegistry(async (ask, store) => {
      const { manifest } = anImage();
      const begun = await ask("POST", "/v2/web/blobs/uploads/");
      const put = `${begun.headers.get("location")}?digest=${sha256("one")}`;
      const lying = ask("PUT", put, { body: "another" });
      expect(await codeOf(lying)).toEqual([400, "DIGEST_INVALID"]);
      expect(await codeOf(pushManifest(ask, "1", manifest))).toEqual([
        400,
        "MANIFEST_BLOB_UNKNOWN",
      ]);
      expect(await codeOf(pushManifest(ask, sha256("x"), manifest))).toEqual([
        400,
        "DIGEST_INVALID",
      ]);
      expect(await codeOf(pushManifest(ask, "1", Buffer.from("{}"), "text/html"))).toEqual([
        400,
        "MANIFEST_INVALID",
      ]);
      const huge = Buffer.alloc(5 * 1024 * 1024, " ");
      expect((await pushManifest(ask, "1", huge)).status).toBe(413);
      expect(store.entries()).toEqual([]);
      expect(await codeOf(ask("PATCH", "/v2/web/blobs/uploads/none"))).toEqual([
        404,
        "BLOB_UPLOAD_UNKNOWN",
      ]);
    }));
});

describe("content discovery and management", () => {
  test("lists tags in pages", () =>
    withRegistry(async (ask, store) => {
      for (const tag of ["c", "a", "b"]) await give(store, "docker.io/library/web", tag);
      const first = await ask("GET", "/v2/web/tags/list?n=2");
      expect(await first.json()).toEqual({ name: "web", tags: ["a", "b"] });
      expect(first.headers.get("link")).toBe('</v2/web/tags/list?n=2&last=b>; rel="next"');
      const second = await ask("GET", "/v2/web/tags/list?n=2&last=b");
      expect(await second.json()).toEqual({ name: "web", tags: ["c"] });
      expect(second.headers.get("link")).toBeNull();
    }));

  test("lists what is about a manifest, also when that is not here", () =>
    withRegistry(async (ask, store) => {
      const image = anImage();
      await give(store, "docker.io/library/web", "1", image);
      const subject = { mediaType: OCI_MANIFEST, digest: sha256("about"), size: 5 };
      const artifactType = "application/vnd.example.signature";
      const about = Buffer.from(
        JSON.stringify({
          ...(JSON.parse(Buffer.from(image.manifest).toString()) as object),
          subject,
          artifactType,
        }),
      );
      const pushed = await pushManifest(ask, sha256(about), about);
      expect(pushed.headers.get("oci-subject")).toBe(subject.digest);
      const list = async (query: string) => {
        const path = `/v2/web/referrers/${subject.digest}${query}`;
        const body = (await (await ask("GET", path)).json()) as { manifests: object[] };
        return body.manifests;
      };
      expect(await list("")).toMatchObject([{ digest: sha256(about), artifactType }]);
      expect(await list("?artifactType=other")).toEqual([]);
    }));

  test("takes a tag away and leaves the image, and a digest with all its tags", () =>
    withRegistry(async (ask, store) => {
      const digest = await give(store, "docker.io/library/web", "1");
      await give(store, "docker.io/library/web", "2");
      expect((await ask("DELETE", "/v2/web/manifests/1")).status).toBe(202);
      expect((await ask("GET", "/v2/web/manifests/2")).status).toBe(200);
      expect((await ask("DELETE", `/v2/web/manifests/${digest}`)).status).toBe(202);
      expect((await ask("GET", "/v2/web/manifests/2")).status).toBe(404);
      expect((await ask("DELETE", `/v2/web/manifests/${digest}`)).status).toBe(404);
    }));

  test("gives the manifests that an index names, under the repository of the index", () =>
    withRegistry(async (ask, store) => {
      const image = anImage();
      const child = await give(store, "docker.io/library/web", "1", image);
      const bytes = new Uint8Array(anIndex([image.manifest]));
      await store.putManifest({ repository: "docker.io/library/web", tag: "1", bytes });
      await store.collect({ digests: new Set() });
      expect((await ask("GET", `/v2/web/manifests/${child}`)).status).toBe(200);
      expect((await ask("GET", `/v2/other/manifests/${child}`)).status).toBe(404);
    }));
});
