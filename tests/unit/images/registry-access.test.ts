import { describe, expect, test } from "bun:test";
import type { RegistryAction } from "../../../src/model/registry-scope.ts";
import type { ImageStore } from "../../../src/images/image-store.ts";
import { aRegistry, anImage, anIndex, give, OCI_MANIFEST, sha256, withStore } from "./rig.ts";

const TEAM = "docker.io/team/web";
const OTHER = "docker.io/other/secret";

type Ask = (method: string, path: string, body?: Uint8Array) => Promise<Response>;

/** Asks the registry as one who may do this with `team/*`. */
function withScope<T>(
  actions: RegistryAction[],
  run: (ask: Ask, store: ImageStore) => Promise<T>,
): Promise<T> {
  return withStore(async (store) => {
    const registry = aRegistry(store);
    const scopes = [{ repository: "docker.io/team/*", actions }];
    const ask: Ask = (method, path, body) => {
      const headers = { "content-type": OCI_MANIFEST };
      const init = body === undefined ? { method } : { method, body, headers };
      return registry.answer(new Request(`http://registry/v2/${path}`, init), scopes);
    };
    try {
      return await run(ask, store);
    } finally {
      await registry.close();
    }
  });
}

async function codeOf(answer: Promise<Response>): Promise<[number, string | undefined]> {
  const response = await answer;
  if (response.ok) return [response.status, undefined];
  const body = (await response.json()) as { errors: { code: string; message: string }[] };
  return [response.status, body.errors[0]?.code];
}

async function pushBlob(ask: Ask, bytes: Uint8Array): Promise<Response> {
  const begun = await ask("POST", "team/web/blobs/uploads/");
  const place = (begun.headers.get("location") ?? "").replace("/v2/", "");
  return ask("PUT", `${place}?digest=${sha256(bytes)}`, bytes);
}

describe("a token for some images", () => {
  const cases: [method: string, path: string, action: RegistryAction][] = [
    ["GET", "manifests/1", "pull"],
    ["HEAD", "manifests/1", "pull"],
    ["PUT", "manifests/1", "push"],
    ["DELETE", "manifests/1", "delete"],
    ["GET", `blobs/${sha256("x")}`, "pull"],
    ["DELETE", `blobs/${sha256("x")}`, "delete"],
    ["POST", "blobs/uploads/", "push"],
    ["GET", "blobs/uploads/1", "push"],
    ["PATCH", "blobs/uploads/1", "push"],
    ["DELETE", "blobs/uploads/1", "push"],
    ["GET", "tags/list", "pull"],
    ["GET", `referrers/${sha256("x")}`, "pull"],
  ];
  test.each(cases)("%s %s takes the right to %s", async (method, path, action) => {
    const others = (["pull", "push", "delete"] as const).filter((one) => one !== action);
    await withScope(others, async (ask) => {
      expect((await ask(method, `team/web/${path}`)).status).toBe(403);
    });
    await withScope([action], async (ask) => {
      expect((await ask(method, `team/web/${path}`)).status).not.toBe(403);
      expect((await ask(method, `other/secret/${path}`)).status).toBe(403);
    });
  });

  test("is refused in the specification's words, and may look whether this is a registry", () =>
    withScope(["pull"], async (ask) => {
      expect(await codeOf(ask("GET", "other/secret/tags/list"))).toEqual([403, "DENIED"]);
      expect((await ask("GET", "")).status).toBe(200);
    }));

  test("pushes and pulls an image and an index of its own", () =>
    withScope(["pull", "push"], async (ask) => {
      const { layer, config, manifest } = anImage();
      for (const blob of [layer, config]) expect((await pushBlob(ask, blob)).status).toBe(201);
      const child = `team/web/manifests/${sha256(manifest)}`;
      expect((await ask("PUT", child, manifest)).status).toBe(201);
      const blob = await ask("GET", `team/web/blobs/${sha256(layer)}`);
      expect(await blob.text()).toBe(Buffer.from(layer).toString());
      const mount = `team/other/blobs/uploads/?mount=${sha256(layer)}&from=team/web`;
      expect((await ask("POST", mount)).status).toBe(201);
    }));

  test("sees nothing of another repository by its digests", () =>
    withScope(["pull", "push"], async (ask, store) => {
      const hidden = anImage("hidden");
      await give(store, OTHER, "1", hidden);
      const digest = sha256(hidden.layer);
      expect(await codeOf(ask("GET", `team/web/blobs/${digest}`))).toEqual([404, "BLOB_UNKNOWN"]);
      const mount = `team/web/blobs/uploads/?mount=${digest}&from=other/secret`;
      expect((await ask("POST", mount)).status).toBe(202);
      expect((await ask("POST", mount.replace("other/secret", "team/web"))).status).toBe(202);
      const claimed = codeOf(ask("PUT", "team/web/manifests/1", hidden.manifest));
      expect(await claimed).toEqual([400, "MANIFEST_BLOB_UNKNOWN"]);
      expect(await codeOf(ask("GET", `team/web/blobs/${digest}`))).toEqual([404, "BLOB_UNKNOWN"]);
    }));

  test("that lets its holder pull everything hides nothing from them", () =>
    withStore(async (store) => {
      const registry = aRegistry(store);
      const { layer } = anImage();
      await give(store, OTHER, "1");
      const scopes = [
        { repository: "*", actions: ["pull" as const] },
        { repository: TEAM, actions: ["push" as const] },
      ];
      const path = `team/web/blobs/uploads/?mount=${sha256(layer)}`;
      const request = new Request(`http://registry/v2/${path}`, { method: "POST" });
      expect((await registry.answer(request, scopes)).status).toBe(201);
      await registry.close();
    }));

  test("has what its index names, down to the last layer", () =>
    withScope(["pull"], async (ask, store) => {
      const image = anImage();
      await give(store, TEAM, "child", image);
      const bytes = new Uint8Array(anIndex([image.manifest]));
      await store.putManifest({ repository: TEAM, tag: "all", bytes });
      await store.remove(TEAM, "child");
      await store.remove(TEAM, sha256(image.manifest));
      expect((await ask("GET", `team/web/blobs/${sha256(image.layer)}`)).status).toBe(200);
      expect((await ask("GET", `team/web/manifests/${sha256(image.manifest)}`)).status).toBe(200);
    }));
});
