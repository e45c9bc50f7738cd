import { describe, expect, test } from "bun:test";
import { OCI_INDEX, OCI_MANIFEST } from "../../src/core/oci/manifest.ts";
import { sha256 } from "../unit/images/rig.ts";
import {
  ABSENT,
  type Ask,
  beginUpload,
  chunk,
  CONFIG,
  IMAGE,
  INDEX,
  INDEX_BYTES,
  LAYER,
  MANIFEST,
  manifestBody,
  REFERRER,
  SIGNATURE,
  withPushed,
} from "./registry-rig.ts";

/**
 * The end points of the OCI distribution specification 1.1 ("Endpoints", end-1 to end-14), row by
 * row: what is asked, and what the specification says the answer must be.
 */
interface Row {
  /** The end point's number, and the case. */
  row: string;
  ask: (ask: Ask) => Promise<Response>;
  status: number;
  /** Those that the answer must have; null for one that it must not have. */
  headers?: Record<string, string | RegExp | null>;
  /** The answer's body as it must be: bytes, or what its JSON must hold. */
  body?: Uint8Array | object;
  /** The code in the body of a refusal. */
  code?: string;
}

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const LENGTH = String(IMAGE.layer.length);
const web = (method: string, path: string, init?: Parameters<Ask>[2]) => (ask: Ask) =>
  ask(method, `team/web/${path}`, init);
const range = (text: string) => ({ headers: { range: text } });
const text = Buffer.from("text of a blob");
const aBlob = sha256(text);

function inUpload(
  run: (ask: Ask, place: string) => Promise<Response>,
): (ask: Ask) => Promise<Response> {
  return async (ask) => run(ask, await beginUpload(ask));
}

const pull: Row[] = [
  { row: "end-1 the version", ask: (ask) => ask("GET", ""), status: 200 },
  {
    row: "end-2 GET a blob",
    ask: web("GET", `blobs/${LAYER}`),
    status: 200,
    headers: { "docker-content-digest": LAYER, "content-length": LENGTH },
    body: IMAGE.layer,
  },
  {
    row: "end-2 HEAD of a blob",
    ask: web("HEAD", `blobs/${LAYER}`),
    status: 200,
    headers: { "docker-content-digest": LAYER, "content-length": LENGTH },
  },
  { row: "end-2 HEAD of no blob", ask: web("HEAD", `blobs/${ABSENT}`), status: 404 },
  {
    row: "end-2 GET of no blob",
    ask: web("GET", `blobs/${ABSENT}`),
    status: 404,
    code: "BLOB_UNKNOWN",
  },
  {
    row: "end-2 the beginning of a blob",
    ask: web("GET", `blobs/${LAYER}`, range("bytes=0-3")),
    status: 206,
    headers: { "content-range": `bytes 0-3/${LENGTH}`, "content-length": "4" },
    body: IMAGE.layer.subarray(0, 4),
  },
  {
    row: "end-2 the rest of a blob",
    ask: web("GET", `blobs/${LAYER}`, range("bytes=3-")),
    status: 206,
    body: IMAGE.layer.subarray(3),
  },
  {
    row: "end-2 the end of a blob",
    ask: web("GET", `blobs/${LAYER}`, range("bytes=-3")),
    status: 206,
    body: IMAGE.layer.subarray(-3),
  },
  {
    row: "end-2 a range that ends behind the blob",
    ask: web("GET", `blobs/${LAYER}`, range("bytes=1-99999")),
    status: 206,
    body: IMAGE.layer.subarray(1),
  },
  {
    row: "end-2 a range behind the blob",
    ask: web("GET", `blobs/${LAYER}`, range("bytes=99999-")),
    status: 416,
    headers: { "content-range": `bytes */${LENGTH}` },
  },
  {
    row: "end-2 a digest of another algorithm",
    ask: web("GET", `blobs/sha512:${"0".repeat(128)}`),
    status: 400,
    code: "DIGEST_INVALID",
  },
  ...["1", MANIFEST].map((reference) => ({
    row: `end-3 GET a manifest by ${reference.slice(0, 6)}`,
    ask: web("GET", `manifests/${reference}`),
    status: 200,
    headers: {
      "docker-content-digest": MANIFEST,
      "content-type": OCI_MANIFEST,
      "content-length": String(IMAGE.manifest.length),
    },
    body: IMAGE.manifest,
  })),
  {
    row: "end-3 GET an index",
    ask: web("GET", "manifests/all"),
    status: 200,
    headers: { "docker-content-digest": INDEX, "content-type": OCI_INDEX },
    body: INDEX_BYTES,
  },
  {
    row: "end-3 HEAD of a manifest",
    ask: web("HEAD", "manifests/2"),
    status: 200,
    headers: {
      "docker-content-digest": MANIFEST,
      "content-length": String(IMAGE.manifest.length),
    },
  },
  { row: "end-3 HEAD of no tag", ask: web("HEAD", "manifests/none"), status: 404 },
  {
    row: "end-3 GET of no tag",
    ask: web("GET", "manifests/none"),
    status: 404,
    code: "MANIFEST_UNKNOWN",
  },
  { row: "end-3 a digest that is not there", ask: web("GET", `manifests/${ABSENT}`), status: 404 },
  { row: "end-3 no tag at all", ask: web("GET", `manifests/.${"a".repeat(9)}`), status: 404 },
  { row: "end-3 no repository", ask: (ask) => ask("GET", "none/such/manifests/1"), status: 404 },
];

const push: Row[] = [
  {
    row: "end-4a an upload begins",
    ask: web("POST", "blobs/uploads/"),
    status: 202,
    headers: { location: UUID },
  },
  {
    row: "end-4b a blob at once",
    ask: web("POST", `blobs/uploads/?digest=${aBlob}`, { body: text }),
    status: 201,
    headers: { location: `/v2/team/web/blobs/${aBlob}` },
  },
  {
    row: "end-4b a blob at once, with another digest",
    ask: web("POST", `blobs/uploads/?digest=${ABSENT}`, { body: text }),
    status: 400,
    code: "DIGEST_INVALID",
  },
  {
    row: "end-5 a chunk",
    ask: inUpload((ask, at) => ask("PATCH", at, chunk("text", 0))),
    status: 202,
    headers: { location: UUID, range: "0-3" },
  },
  {
    row: "end-5 a stream without a range",
    ask: inUpload((ask, at) => ask("PATCH", at, { body: "text" })),
    status: 202,
    headers: { location: UUID, range: "0-3" },
  },
  {
    row: "end-5 a first chunk that is not the first",
    ask: inUpload((ask, at) => ask("PATCH", at, chunk("text", 4))),
    status: 416,
  },
  {
    row: "end-5 a chunk twice",
    ask: inUpload(async (ask, at) => {
      await ask("PATCH", at, chunk("text", 0));
      return ask("PATCH", at, chunk("text", 0));
    }),
    status: 416,
  },
  {
    row: "end-5 an upload that is none",
    ask: web("PATCH", "blobs/uploads/none", { body: "text" }),
    status: 404,
    code: "BLOB_UPLOAD_UNKNOWN",
  },
  {
    row: "end-6 a blob in one piece",
    ask: inUpload((ask, at) => ask("PUT", `${at}?digest=${aBlob}`, { body: text })),
    status: 201,
    headers: { location: `/v2/team/web/blobs/${aBlob}` },
  },
  {
    row: "end-6 the last chunk comes with the end",
    ask: inUpload(async (ask, at) => {
      await ask("PATCH", at, chunk("text of", 0));
      return ask("PUT", `${at}?digest=${aBlob}`, chunk(" a blob", 7));
    }),
    status: 201,
  },
  {
    row: "end-6 a last chunk out of order, which may come again",
    ask: inUpload(async (ask, at) => {
      await ask("PATCH", at, chunk("text of", 0));
      const wrong = await ask("PUT", `${at}?digest=${aBlob}`, chunk(" a blob", 9));
      expect(wrong.status).toBe(416);
      return ask("PUT", `${at}?digest=${aBlob}`, chunk(" a blob", 7));
    }),
    status: 201,
  },
  {
    row: "end-6 an empty blob",
    ask: inUpload((ask, at) => ask("PUT", `${at}?digest=${sha256("")}`)),
    status: 201,
  },
  {
    row: "end-6 another digest",
    ask: inUpload((ask, at) => ask("PUT", `${at}?digest=${ABSENT}`, { body: text })),
    status: 400,
    code: "DIGEST_INVALID",
  },
  { row: "end-6 no digest", ask: inUpload((ask, at) => ask("PUT", at)), status: 400 },
  {
    row: "end-7a a manifest by tag",
    ask: web("PUT", "manifests/new", manifestBody(IMAGE.manifest)),
    status: 201,
    headers: {
      location: `/v2/team/web/manifests/${MANIFEST}`,
      "docker-content-digest": MANIFEST,
      "oci-subject": null,
    },
  },
  {
    row: "end-7a a type with a parameter",
    ask: web(
      "PUT",
      "manifests/new",
      manifestBody(IMAGE.manifest, `${OCI_MANIFEST}; charset=utf-8`),
    ),
    status: 201,
  },
  {
    row: "end-7a a manifest by another digest",
    ask: web("PUT", `manifests/${ABSENT}`, manifestBody(IMAGE.manifest)),
    status: 400,
    code: "DIGEST_INVALID",
  },
  {
    row: "end-7a a manifest whose blobs are not there",
    ask: web("PUT", "manifests/new", manifestBody(manifestOfNothing())),
    status: 400,
    code: "MANIFEST_BLOB_UNKNOWN",
  },
  {
    row: "end-7a a manifest that is too large",
    ask: web("PUT", "manifests/new", manifestBody(Buffer.alloc(4 * 1024 * 1024 + 1, " "))),
    status: 413,
  },
  {
    row: "end-7a a subject that is not there",
    ask: web("PUT", "manifests/about", manifestBody(manifestAbout(ABSENT))),
    status: 201,
    headers: { "oci-subject": ABSENT },
  },
  {
    row: "end-11 a blob of another repository",
    ask: (ask) => ask("POST", `other/blobs/uploads/?mount=${LAYER}&from=team/web`),
    status: 201,
    headers: { location: `/v2/other/blobs/${LAYER}` },
  },
  {
    row: "end-11 a blob that no repository has",
    ask: (ask) => ask("POST", `other/blobs/uploads/?mount=${ABSENT}&from=team/web`),
    status: 202,
    headers: { location: UUID },
  },
  {
    row: "end-13 how far an upload is",
    ask: inUpload(async (ask, at) => {
      await ask("PATCH", at, chunk("text", 0));
      return ask("GET", at);
    }),
    status: 204,
    headers: { location: UUID, range: "0-3" },
  },
  { row: "end-13 no upload", ask: web("GET", "blobs/uploads/none"), status: 404 },
  {
    row: "end-14 an upload is given up",
    ask: inUpload(async (ask, at) => {
      const { status } = await ask("DELETE", at);
      expect(status).toBe(204);
      return ask("GET", at);
    }),
    status: 404,
  },
];

const discovery: Row[] = [
  {
    row: "end-8a all tags",
    ask: web("GET", "tags/list"),
    status: 200,
    headers: { link: null },
    body: { name: "team/web", tags: ["1", "2", "all"] },
  },
  {
    row: "end-8b a page of tags",
    ask: web("GET", "tags/list?n=2"),
    status: 200,
    headers: { link: /^<.*\/v2\/team\/web\/tags\/list\?.*last=2.*>; rel="next"$/ },
    body: { tags: ["1", "2"] },
  },
  {
    row: "end-8b the last page",
    ask: web("GET", "tags/list?n=2&last=2"),
    status: 200,
    headers: { link: null },
    body: { tags: ["all"] },
  },
  {
    row: "end-8b none of them",
    ask: web("GET", "tags/list?n=0"),
    status: 200,
    headers: { link: null },
    body: { tags: [] },
  },
  {
    row: "end-8b behind a tag that is not there",
    ask: web("GET", "tags/list?last=1b"),
    status: 200,
    body: { tags: ["2", "all"] },
  },
  {
    row: "end-8a no repository",
    ask: (ask) => ask("GET", "none/such/tags/list"),
    status: 404,
    code: "NAME_UNKNOWN",
  },
  {
    row: "end-12a what is about a manifest",
    ask: web("GET", `referrers/${MANIFEST}`),
    status: 200,
    headers: { "content-type": OCI_INDEX },
    body: {
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [
        {
          digest: REFERRER,
          mediaType: OCI_MANIFEST,
          artifactType: SIGNATURE,
          annotations: { "org.example.by": "somebody" },
        },
      ],
    },
  },
  {
    row: "end-12a nothing is about it",
    ask: web("GET", `referrers/${ABSENT}`),
    status: 200,
    body: { manifests: [] },
  },
  {
    row: "end-12a of a repository that is not there",
    ask: (ask) => ask("GET", `none/such/referrers/${ABSENT}`),
    status: 200,
    body: { manifests: [] },
  },
  { row: "end-12a no digest", ask: web("GET", "referrers/sha256:0"), status: 400 },
  {
    row: "end-12b of one type",
    ask: web("GET", `referrers/${MANIFEST}?artifactType=${SIGNATURE}`),
    status: 200,
    headers: { "oci-filters-applied": "artifactType" },
    body: { manifests: [{ digest: REFERRER }] },
  },
  {
    row: "end-12b of another type",
    ask: web("GET", `referrers/${MANIFEST}?artifactType=other/type`),
    status: 200,
    headers: { "oci-filters-applied": "artifactType" },
    body: { manifests: [] },
  },
];

const management: Row[] = [
  { row: "end-9 a tag", ask: thenGet("manifests/1", "manifests/1"), status: 404 },
  {
    row: "end-9 a tag, and not the other",
    ask: thenGet("manifests/1", "manifests/2"),
    status: 200,
  },
  {
    row: "end-9 a manifest with its tags",
    ask: thenGet(`manifests/${MANIFEST}`, "manifests/2"),
    status: 404,
  },
  {
    row: "end-9 a referrer",
    ask: thenGet(`manifests/${REFERRER}`, `referrers/${MANIFEST}`),
    status: 200,
    body: { manifests: [] },
  },
  { row: "end-9 a manifest that is not there", ask: web("DELETE", "manifests/none"), status: 404 },
  {
    row: "end-9 no repository",
    ask: (ask) => ask("DELETE", `none/such/manifests/${ABSENT}`),
    status: 404,
  },
  {
    row: "end-10 a blob, which goes with its last manifest alone",
    ask: web("DELETE", `blobs/${CONFIG}`),
    status: 405,
    code: "UNSUPPORTED",
  },
];

/** Deletes one, which must succeed, and then asks for the other. */
function thenGet(gone: string, asked: string): (ask: Ask) => Promise<Response> {
  return async (ask) => {
    const deleted = await ask("DELETE", `team/web/${gone}`);
    expect(deleted.status).toBe(202);
    return ask("GET", `team/web/${asked}`);
  };
}

function manifestOfNothing(): Uint8Array {
  const absent = { mediaType: "application/octet-stream", digest: ABSENT, size: 1 };
  return Buffer.from(JSON.stringify({ schemaVersion: 2, config: absent, layers: [] }));
}

function manifestAbout(digest: string): Uint8Array {
  const own = JSON.parse(Buffer.from(IMAGE.manifest).toString()) as object;
  const subject = { mediaType: OCI_MANIFEST, digest, size: 7 };
  return Buffer.from(JSON.stringify({ ...own, subject }));
}

async function check({ ask, status, headers = {}, body, code }: Row): Promise<void> {
  await withPushed(async (send) => {
    const response = await ask(send);
    const bytes = new Uint8Array(await response.arrayBuffer());
    expect(response.status).toBe(status);
    for (const [name, value] of Object.entries(headers)) {
      const found = response.headers.get(name);
      if (value instanceof RegExp) expect(found).toMatch(value);
      else expect(found).toBe(value);
    }
    const json = () => JSON.parse(Buffer.from(bytes).toString()) as object;
    if (body instanceof Uint8Array) expect(Buffer.from(bytes)).toEqual(Buffer.from(body));
    else if (body !== undefined) expect(json()).toMatchObject(body);
    if (code !== undefined) expect(json()).toMatchObject({ errors: [{ code }] });
  });
}

describe("OCI distribution specification 1.1", () => {
  describe("pull", () => test.each(pull)("$row", check));
  describe("push", () => test.each(push)("$row", check));
  describe("content discovery", () => test.each(discovery)("$row", check));
  describe("content management", () => test.each(management)("$row", check));
});
