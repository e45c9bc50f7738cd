import { describe, expect, test } from "bun:test";
import { OrchdError } from "../../../src/lib/errors.ts";
import { put } from "../../../src/model/change.ts";
import { aContainer, aGrant, anId, anItem, aService } from "../../builders.ts";
import { anApi, json, type Refusal } from "./fixture.ts";

const upload = anId("upload");
const octets = (bytes: Uint8Array) => ({
  method: "POST",
  body: bytes,
  headers: { "content-type": "application/octet-stream" },
});

/** The API over one secret of `shop`, which `shop/web` uses, and one config of the cluster. */
async function aVaultApi() {
  const service = aService({ container: aContainer({ grants: [aGrant(1)] }) });
  const api = await anApi({ services: [service] });
  const { stack: _, ...config } = anItem({ id: anId("conf"), kind: "config", name: "web" });
  await api.store.commit([
    put.item(anItem()),
    put.item(config),
    put.content({ id: `${anId("pass")}.1`, sealed: "c2VhbGVk", version: 0 }),
  ]);
  return api;
}

async function messageOf(response: Response): Promise<string> {
  return ((await response.json()) as Refusal).error.message;
}

describe("secrets and configs", () => {
  test("are listed by kind with their users, and nothing tells of what they hold", async () => {
    const { app } = await aVaultApi();
    const text = await (await app.request("/v1/secrets")).text();
    expect(JSON.parse(text)).toMatchObject([
      { name: "shop_pass", stack: "shop", number: 1, sizeBytes: 3, users: ["shop/web"] },
    ]);
    expect(text).not.toContain("digest");
    expect(text).not.toContain("c2VhbGVk");
    expect(await (await app.request("/v1/configs")).json()).toMatchObject([{ name: "web" }]);
  });

  test("are found by name or id, each among its kind alone", async () => {
    const { app } = await aVaultApi();
    const statuses = async (...paths: string[]) =>
      Promise.all(paths.map(async (path) => (await app.request(path)).status));
    expect(
      await statuses("/v1/secrets/shop_pass", `/v1/secrets/${anId("pass")}`, "/v1/secrets/web"),
    ).toEqual([200, 200, 404]);
  });

  test("are sent as bytes first, and used by the id that this answers", async () => {
    const { app, calls } = await aVaultApi();
    const sent = await app.request("/v1/uploads", octets(new Uint8Array([0, 255, 10])));
    expect([sent.status, await sent.json()]).toEqual([201, { upload }]);
    await app.request("/v1/secrets", json("POST", { name: "shop_pass", upload }));
    await app.request("/v1/configs/web", json("PUT", { upload }));
    await app.request("/v1/secrets/shop_pass", { method: "DELETE" });
    const asked = { name: "shop_pass", upload, labels: {}, isTemplate: false };
    expect(calls).toEqual([
      ["secrets.upload", 3],
      ["secrets.create", "secret", asked],
      ["secrets.update", "config", "web", upload],
      ["secrets.remove", "secret", "shop_pass"],
    ]);
  });

  test("show what they hold for configs alone", async () => {
    const { app, calls } = await aVaultApi();
    const shown = await app.request("/v1/configs/web/content?version=2");
    expect(await shown.json()).toEqual({ content: btoa("listen 80") });
    expect(calls).toEqual([["secrets.configContent", "web", 2]]);
    expect((await app.request("/v1/secrets/shop_pass/content")).status).toBe(404);
  });

  test("are not made out of nonsense, and no refusal repeats what was sent", async () => {
    const { app, calls } = await aVaultApi();
    const bodies = [
      { name: "../../etc/hunter2", upload },
      { name: "", upload },
      { name: "a".repeat(129), upload },
      { name: "a\nhunter2", upload },
      { name: "a", upload: "hunter2" },
      { name: "a" },
      { name: "a", upload, labels: { a: 1 } },
      {
        name: "a",
        upload,
        labels: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [i, ""])),
      },
      "hunter2",
    ];
    for (const body of bodies) {
      const response = await app.request("/v1/secrets", json("POST", body));
      expect(response.status).toBe(400);
      expect(await response.text()).not.toContain("hunter2");
    }
    expect(calls).toEqual([]);
  });

  test("that are larger than a request may be are refused unread", async () => {
    const { app, calls } = await aVaultApi();
    const response = await app.request("/v1/uploads", octets(new Uint8Array(5_000_000)));
    expect([response.status, calls]).toEqual([413, []]);
  });

  test("that are locked are told so, with a status of its own", async () => {
    const { app, deps } = await aVaultApi();
    deps.secrets.upload = () => {
      throw new OrchdError("locked", "secrets are locked: run `orchd unlock`");
    };
    const response = await app.request("/v1/uploads", octets(new Uint8Array([1])));
    expect([response.status, await messageOf(response)]).toEqual([
      423,
      "secrets are locked: run `orchd unlock`",
    ]);
  });
});

describe("the vault", () => {
  test("says whether it is locked, and is unlocked, rotated and protected", async () => {
    const { app, calls } = await aVaultApi();
    const status = { state: "locked", reason: "why", protectedBy: "passphrase", keyAt: 0 };
    expect(await (await app.request("/v1/vault")).json()).toEqual(status);
    const passphrase = "a long passphrase";
    await app.request("/v1/vault/unlock", json("POST", { passphrase }));
    await app.request("/v1/vault/unlock", json("POST", {}));
    await app.request("/v1/vault/key", { method: "POST" });
    await app.request("/v1/vault/protection", json("PUT", { passphrase }));
    await app.request("/v1/vault/protection", json("PUT", {}));
    await app.request("/v1/vault", { method: "DELETE" });
    expect(calls).toEqual([
      ["secrets.unlock", passphrase],
      ["secrets.unlock", undefined],
      ["secrets.rotateKey"],
      ["secrets.protect", passphrase],
      ["secrets.protect", undefined],
      ["secrets.reset"],
    ]);
  });

  test("takes no passphrase that is short or endless, and repeats none", async () => {
    const { app, calls } = await aVaultApi();
    for (const passphrase of ["hunter2", "hunter2".repeat(200), 7]) {
      const response = await app.request("/v1/vault/protection", json("PUT", { passphrase }));
      expect(response.status).toBe(400);
      expect(await response.text()).not.toContain("hunter2");
    }
    expect(calls).toEqual([]);
  });
});
