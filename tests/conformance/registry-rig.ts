import { serveRegistry } from "../../src/images/listen.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../src/core/oci/manifest.ts";
import { aRegistry, anImage, anIndex, quiet, sha256, withStore } from "../unit/images/rig.ts";

export const IMAGE = anImage("conformance");
export const LAYER = sha256(IMAGE.layer);
export const CONFIG = sha256(IMAGE.config);
export const MANIFEST = sha256(IMAGE.manifest);
export const INDEX_BYTES = new Uint8Array(anIndex([IMAGE.manifest]));
export const INDEX = sha256(INDEX_BYTES);
export const ABSENT = sha256("nobody has this");
export const SIGNATURE = "application/vnd.example.signature";
/** About the image, as a signature is. */
export const REFERRER_BYTES = new Uint8Array(
  Buffer.from(
    JSON.stringify({
      ...(JSON.parse(Buffer.from(IMAGE.manifest).toString()) as object),
      artifactType: SIGNATURE,
      annotations: { "org.example.by": "somebody" },
      subject: { mediaType: OCI_MANIFEST, digest: MANIFEST, size: IMAGE.manifest.length },
    }),
  ),
);
export const REFERRER = sha256(REFERRER_BYTES);

export type Init = Omit<RequestInit, "method">;
/** A request to the registry over HTTP; a path begins behind `/v2/`. */
export type Ask = (method: string, path: string, init?: Init) => Promise<Response>;

/**
 * A registry on a port of its own, to which `team/web` has been pushed over its own interface: an
 * image as `1` and `2`, an index of it as `all`, and a referrer of it.
 */
export async function withPushed<T>(run: (ask: Ask) => Promise<T>): Promise<T> {
  return withStore(async (store) => {
    const guard = () => ({});
    const listener = serveRegistry({ registry: aRegistry(store), log: quiet, guard, port: 0 });
    const base = `http://${listener.address}/v2/`;
    const ask: Ask = (method, path, init) =>
      fetch(path.startsWith("/") ? new URL(path, base) : `${base}${path}`, { ...init, method });
    try {
      await pushAll(ask);
      return await run(ask);
    } finally {
      await listener.close();
    }
  });
}

/** Where a new upload to `team/web` goes on. */
export async function beginUpload(ask: Ask): Promise<string> {
  const begun = await ask("POST", "team/web/blobs/uploads/");
  return begun.headers.get("location") ?? "";
}

export function manifestBody(bytes: Uint8Array, type = OCI_MANIFEST): Init {
  return { body: new Uint8Array(bytes), headers: { "content-type": type } };
}

export function chunk(text: string, from: number): Init {
  const headers = { "content-range": `${from}-${from + text.length - 1}` };
  return { body: text, headers };
}

async function pushAll(ask: Ask): Promise<void> {
  for (const bytes of [IMAGE.layer, IMAGE.config]) {
    const query = `digest=${sha256(bytes)}`;
    await ask("PUT", `${await beginUpload(ask)}?${query}`, { body: new Uint8Array(bytes) });
  }
  const put = (reference: string, init: Init) =>
    ask("PUT", `team/web/manifests/${reference}`, init);
  for (const tag of ["1", "2"]) await put(tag, manifestBody(IMAGE.manifest));
  await put("all", manifestBody(INDEX_BYTES, OCI_INDEX));
  await put(REFERRER, manifestBody(REFERRER_BYTES));
}
