import { describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { BundleReader } from "../../../../src/core/archive/bundle-reader.ts";
import { encodeBundleEnd, encodeOpening } from "../../../../src/core/archive/bundle-writer.ts";
import { headOfFile } from "../../../../src/core/archive/plain-file.ts";
import { bundlePieces, sourceOfBytes } from "../../../../src/cli/bundles/bundle-content.ts";
import type { BundleSource } from "../../../../src/cli/bundles/bundle-content.ts";
import { BundleCheck } from "../../../../src/cli/bundles/check-bundle.ts";
import type { OrchdError } from "../../../../src/lib/errors.ts";
import type { BundleManifest } from "../../../../src/model/bundle.ts";
import { publicPemOf, signBundle } from "../../../../src/pki/release-key.ts";
import { receiveBundle } from "../../../../src/server/bundles/receive-bundle.ts";
import { requireTrust } from "../../../../src/server/bundles/trust.ts";
import { anImage, OCI_MANIFEST, openStore, sha256, streamOf, withStore } from "../../images/rig.ts";

const key = newKey();

function newKey(): string {
  const { privateKey } = generateKeyPairSync("ed25519");
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

function blob(bytes: Uint8Array): BundleSource {
  return sourceOfBytes(`blobs/sha256/${sha256(bytes).slice("sha256:".length)}`, bytes);
}

const image = anImage();
const sources = [
  sourceOfBytes("orchd/stacks/shop.json", new TextEncoder().encode('{"services":{},"volumes":[]}')),
  ...[image.layer, image.config, image.manifest].map((bytes) => blob(new Uint8Array(bytes))),
];
const manifest: BundleManifest = {
  format: 1,
  createdAt: 1,
  orchdVersion: "1.2.3",
  images: [
    {
      reference: "docker.io/library/web:1",
      mediaType: OCI_MANIFEST,
      digest: sha256(image.manifest),
      size: image.manifest.length,
    },
  ],
  stacks: [{ name: "shop", path: "orchd/stacks/shop.json" }],
  items: [],
  executables: [],
  assumes: [],
  files: sources.map(({ file }) => file),
};

/** A bundle that is signed, whatever it says of itself. */
async function signed(says: unknown, of = sources, by = key): Promise<Buffer> {
  const text = new TextEncoder().encode(JSON.stringify(says));
  const signature = { publicKey: publicPemOf(by), signature: signBundle(by, text) };
  return Buffer.concat(await Array.fromAsync(bundlePieces(text, signature, of)));
}

function isSound(bytes: Uint8Array): boolean {
  const check = new BundleCheck();
  check.push(bytes);
  return check.finish() !== undefined;
}

/** What a server says that is given these bytes and trusts the key; what it keeps of them. */
async function receive(bytes: Uint8Array, trusted = key) {
  return withStore(async (_, dir) => {
    const store = await openStore(dir);
    const trust = { own: publicPemOf(trusted), directory: `${dir}/none` };
    try {
      await receiveBundle(
        { store, trust: (opening) => requireTrust(trust, opening) },
        streamOf(bytes, 700),
      );
      return { said: "taken", entries: store.entries().length, blobs: await store.blobs.list() };
    } catch (error) {
      const { code, message } = error as OrchdError;
      const said = `${code}: ${message}`;
      return { said, entries: store.entries().length, blobs: await store.blobs.list() };
    }
  });
}

describe("a bundle", () => {
  test("is taken when it is whole, in pieces of any size, and nobody sees it yet", async () => {
    const whole = await signed(manifest);
    expect(isSound(whole)).toBe(true);
    expect(await receive(whole)).toMatchObject({ said: "taken", entries: 0 });
    for (const size of [1, 511, 513]) {
      const check = new BundleCheck();
      for (let at = 0; at < whole.length; at += size) check.push(whole.subarray(at, at + size));
      expect(check.finish()?.manifest).toEqual(manifest);
    }
  });

  test("with any one byte of it flipped is refused", async () => {
    const whole = await signed(manifest);
    const taken: number[] = [];
    for (let at = 0; at < whole.length; at++) {
      whole[at] = (whole[at] ?? 0) ^ (1 << (at % 8));
      if (isSound(whole)) taken.push(at);
      whole[at] = (whole[at] ?? 0) ^ (1 << (at % 8));
    }
    expect(taken).toEqual([]);
    expect(isSound(whole)).toBe(true);
  });

  test("that is cut off anywhere, or goes on, is refused in one sentence", async () => {
    const whole = await signed(manifest);
    for (const length of [0, 1, 512, 600, 3000, whole.length - 513, whole.length - 1]) {
      const { said } = await receive(whole.subarray(0, length));
      expect(said).toMatch(/^(damaged|invalid): nothing is changed: .*(cut off|no bundle)/);
    }
    const { said } = await receive(Buffer.concat([whole, Buffer.alloc(512)]));
    expect(said).toBe("damaged: nothing is changed: the bundle is damaged: copy it again");
  });

  test("of somebody who is not trusted is refused before a byte of it is on the disk", async () => {
    const { said, blobs } = await receive(await signed(manifest), newKey());
    expect(said).toStartWith("forbidden: nothing is changed: the bundle is signed with the key");
    expect(blobs).toEqual([]);
  });

  test("that names the trusted key and is signed with another one is refused", async () => {
    const text = new TextEncoder().encode(JSON.stringify(manifest));
    const signature = { publicKey: publicPemOf(key), signature: signBundle(newKey(), text) };
    const forged = Buffer.concat(await Array.fromAsync(bundlePieces(text, signature, sources)));
    expect((await receive(forged)).said).toBe(
      "damaged: nothing is changed: the bundle was altered, its signature does not fit",
    );
  });

  test("that is something else is told so", async () => {
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(2048), Buffer.from("x".repeat(2000))]) {
      expect((await receive(bytes)).said).toBe(
        "invalid: nothing is changed: this is no bundle of orchd",
      );
    }
    const newer = await signed({ ...manifest, format: 2, images: "of a kind unknown today" });
    expect((await receive(newer)).said).toContain("made by a newer orchd");
  });

  test("signed by who is trusted can't lead out, lack a file or bring one twice", async () => {
    const content = new Uint8Array([1]);
    const odd = (paths: string[]) => paths.map((path) => sourceOfBytes(path, content));
    const says = (files: BundleSource[], over: Partial<BundleManifest> = {}) =>
      signed(
        { ...manifest, images: [], stacks: [], ...over, files: files.map((o) => o.file) },
        files,
      );
    for (const path of ["../etc/cron.d/x", "/etc/passwd", "a/../../b", "a//b", ".ssh/x", "a/./b"]) {
      const { said } = await receive(await says(odd([path])));
      expect(said).toBe("damaged: nothing is changed: the bundle is damaged: copy it again");
    }
    const twice = await receive(await says(odd(["a", "a"])));
    expect(twice.said).toContain("holds a file twice");
    const lacking = await receive(await says([], { stacks: manifest.stacks }));
    expect(lacking.said).toContain("orchd/stacks/shop.json is missing in it");
    const empty = await receive(await says([], { images: manifest.images }));
    expect(empty.said).toContain("the image docker.io/library/web:1 is missing in it");
    const hex = "f".repeat(64);
    const misnamed = await receive(await says(odd([`blobs/sha256/${hex}`])));
    expect(misnamed.said).toContain(`blobs/sha256/${hex} is no blob`);
  });

  test("that is larger than the disk, or has a huge stack, is refused at once", async () => {
    const files = (path: string, size: number) => [{ path, size, sha256: "a".repeat(64) }];
    const opening = (says: unknown) => {
      const text = new TextEncoder().encode(JSON.stringify(says));
      const signature = { publicKey: publicPemOf(key), signature: signBundle(key, text) };
      return encodeOpening(text, signature);
    };
    const blobPath = `blobs/sha256/${"a".repeat(64)}`;
    const huge = opening({ ...manifest, images: [], stacks: [], files: files(blobPath, 2 ** 52) });
    expect((await receive(huge)).said).toStartWith("noSpace: the disk has no room");
    const { path } = manifest.stacks[0] ?? { path: "" };
    const stack = opening({ ...manifest, images: [], files: files(path, 5 * 1024 * 1024) });
    expect((await receive(stack)).said).toStartWith("tooLarge: the bundle's stacks and contents");
  });

  test("whose own description is a bomb of length or depth is refused unread", () => {
    const problemOf = (bytes: Uint8Array) => {
      const reader = new BundleReader(() => ({ update: () => {}, digest: () => "" }));
      const events = [...reader.push(bytes)];
      return events.map((event) => (event.type === "problem" ? event.message : event.type));
    };
    expect(problemOf(headOfFile("orchd/bundle.json", 2 ** 32))).toEqual([
      "this is no bundle of orchd",
    ]);
    const deep = new TextEncoder().encode("[".repeat(100_000) + "]".repeat(100_000));
    const bytes = encodeOpening(deep, { publicKey: "k", signature: "s" });
    expect(problemOf(Buffer.concat([bytes, encodeBundleEnd()]))).toEqual([
      "the bundle is damaged: copy it again",
    ]);
  });
});
