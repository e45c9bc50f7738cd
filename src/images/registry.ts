import { OrchdError, messageChainOf } from "../lib/errors.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import {
  type Descriptor,
  MANIFEST_BYTES_MAX,
  OCI_INDEX,
  parseManifest,
} from "../core/oci/manifest.ts";
import { digestOfTag, isDigest, isTag } from "../core/oci/reference.ts";
import type { ImageStore } from "./image-store.ts";
import { canSeeAll, requireScope, type Scopes } from "./registry-access.ts";
import { answerBlob, liveBlob } from "./registry-blob.ts";
import { RegistryError, registryProblem } from "./registry-error.ts";
import { parseRegistryPath, type RegistryRoute } from "./registry-route.ts";
import { UploadRoutes } from "./registry-upload.ts";
import { RepositoryParts } from "./repository-parts.ts";

const TAGS_MAX = 10_000;

type Manifests = Extract<RegistryRoute, { kind: "manifest" }>;
type Lists = Extract<RegistryRoute, { kind: "tags" | "referrers" }>;

/** Where what is not kept here can be had, such as from the server. */
export interface Elsewhere {
  /**
   * Brings what the reference means now; the store's own is the answer where it can't.
   * @returns whether the reference means something there; undefined where nobody could be asked
   */
  bringManifest(repository: string, reference: string): Promise<boolean | undefined>;
  /** Brings a blob if it can be had. */
  bringBlob(repository: string, digest: string): Promise<void>;
  /**
   * The same, as it comes; its last byte comes when all of it was held against its digest.
   * Undefined when it is here, or can't be had.
   */
  bringChecked(repository: string, digest: string): Promise<AsyncGenerator<Uint8Array> | undefined>;
}

export interface RegistryOptions {
  store: ImageStore;
  clock: Clock;
  log: Log;
  elsewhere?: Elsewhere;
}

/**
 * The OCI distribution specification 1.1 over a store: pull, push, content discovery and
 * management. Names are those of `wireNameOf`. Who asks is decided before, and what they may do is
 * said with each request. Who may not pull everything sees of a repository only what is its own.
 */
export class Registry {
  readonly #options: RegistryOptions;
  readonly #uploads: UploadRoutes;
  readonly #parts: RepositoryParts;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#parts = new RepositoryParts(options.store, options.clock);
    this.#uploads = new UploadRoutes(options.store, this.#parts, options.clock);
  }

  /**
   * Answers any request; never rejects.
   * @param scopes what whoever asks may do; absent means everything
   */
  async answer(request: Request, scopes?: Scopes): Promise<Response> {
    try {
      return await this.#route(request, scopes);
    } catch (error) {
      return registryProblem(error, (unexpected) =>
        this.#options.log.error(`the registry failed: ${messageChainOf(unexpected)}`),
      );
    }
  }

  close(): Promise<void> {
    return this.#uploads.close();
  }

  #route(request: Request, scopes: Scopes | undefined): Promise<Response> | Response {
    const { pathname } = new URL(request.url);
    const route = parseRegistryPath(decodePath(pathname));
    if (route === undefined) {
      throw new RegistryError("NAME_UNKNOWN", "this address is none of a registry");
    }
    if (scopes !== undefined) requireScope(scopes, request.method, route);
    switch (route.kind) {
      case "version":
        return new Response("{}", {
          headers: {
            "content-type": "application/json",
            "docker-distribution-api-version": "registry/2.0",
          },
        });
      case "manifest":
        return this.#manifest(request, route, scopes);
      case "blob":
        return this.#blob(request, route, scopes);
      case "upload":
        return this.#uploads.answer(request, route, scopes);
      case "tags":
        return this.#tags(request, route);
      case "referrers":
        return this.#referrers(request, route);
    }
  }

  async #manifest(
    request: Request,
    route: Manifests,
    scopes: Scopes | undefined,
  ): Promise<Response> {
    const { method } = request;
    if (method === "PUT") return this.#putManifest(request, route, scopes);
    const { store, elsewhere } = this.#options;
    const { repository } = route;
    const reference = digestOfTag(route.reference) ?? route.reference;
    if (method === "DELETE") {
      const isGone = await store.remove(repository, reference);
      if (!isGone) throw unknownManifest();
      return new Response(null, { status: 202 });
    }
    requireReading(method);
    await elsewhere?.bringManifest(repository, reference);
    const entry = store.find(repository, reference) ?? (await this.#child(repository, reference));
    const bytes =
      entry === undefined
        ? undefined
        : await store.blobs.readSmall(entry.digest, MANIFEST_BYTES_MAX);
    if (entry === undefined || bytes === undefined) throw unknownManifest();
    const headers = {
      "content-type": entry.mediaType,
      "content-length": String(bytes.length),
      "docker-content-digest": entry.digest,
      etag: `"${entry.digest}"`,
    };
    if (request.headers.get("if-none-match")?.includes(entry.digest) === true) {
      return new Response(null, { status: 304, headers: { etag: headers.etag } });
    }
    return new Response(method === "HEAD" ? null : new Uint8Array(bytes), { headers });
  }

  /** A manifest that the repository has only as a part of an index. */
  async #child(repository: string, reference: string): Promise<Descriptor | undefined> {
    return isDigest(reference) ? this.#parts.child(repository, reference) : undefined;
  }

  /** A digest alone is no right to what another repository has under it. */
  async #requireOwnParts(repository: string, bytes: Uint8Array, type?: string): Promise<void> {
    const parsed = parseManifest(new TextDecoder().decode(bytes), type);
    // What makes no sense is refused by the store, which says why.
    if (!parsed.ok) return;
    for (const { digest } of [...parsed.value.blobs, ...parsed.value.children]) {
      if (await this.#parts.has(repository, digest)) continue;
      const message = `the repository has no ${digest}: push it there first`;
      throw new RegistryError("MANIFEST_BLOB_UNKNOWN", message);
    }
  }

  async #putManifest(
    request: Request,
    { name, repository, reference }: Manifests,
    scopes: Scopes | undefined,
  ): Promise<Response> {
    const { store } = this.#options;
    const bytes = await bodyOf(request, MANIFEST_BYTES_MAX);
    const type = request.headers.get("content-type")?.split(";")[0]?.trim();
    const asTag = isTag(reference) ? { tag: reference } : {};
    if (isDigest(reference)) requireDigest(bytes, reference);
    if (!canSeeAll(scopes)) await this.#requireOwnParts(repository, bytes, type);
    const given = { repository, bytes, ...asTag, ...(type ? { mediaType: type } : {}) };
    const entry = await store.putManifest(given).catch((error: unknown) => {
      if (!(error instanceof OrchdError) || error.code !== "invalid") throw error;
      const isUnknown = error.message.endsWith("is not here");
      const code = isUnknown ? "MANIFEST_BLOB_UNKNOWN" : "MANIFEST_INVALID";
      throw new RegistryError(code, error.message);
    });
    const manifest = await store.manifest(entry.digest);
    const subject = manifest?.subject?.digest;
    return new Response(null, {
      status: 201,
      headers: {
        location: `/v2/${name}/manifests/${entry.digest}`,
        "docker-content-digest": entry.digest,
        ...(subject === undefined ? {} : { "oci-subject": subject }),
      },
    });
  }

  async #blob(
    request: Request,
    { repository, digest }: Extract<RegistryRoute, { kind: "blob" }>,
    scopes: Scopes | undefined,
  ): Promise<Response> {
    const { store, elsewhere } = this.#options;
    if (request.method === "DELETE") {
      // A blob goes with the last manifest that names it, and never before.
      throw new RegistryError("UNSUPPORTED", "blobs are removed when nothing needs them any more");
    }
    requireReading(request.method);
    if (!canSeeAll(scopes) && !(await this.#parts.has(repository, digest))) {
      throw new RegistryError("BLOB_UNKNOWN", "the repository has no such blob");
    }
    if (elsewhere !== undefined && (await store.sizeOf(digest)) === undefined) {
      const isWhole = request.method === "GET" && !request.headers.has("range");
      const live = isWhole ? await elsewhere.bringChecked(repository, digest) : undefined;
      if (live !== undefined) return liveBlob(digest, live);
      await elsewhere.bringBlob(repository, digest);
    }
    return answerBlob(store, request, digest);
  }

  #tags(request: Request, { name, repository }: Lists): Response {
    requireReading(request.method);
    const { store } = this.#options;
    if (!store.hasRepository(repository)) {
      throw new RegistryError("NAME_UNKNOWN", "there is no such repository");
    }
    const { searchParams } = new URL(request.url);
    const last = searchParams.get("last");
    const asked = Number(searchParams.get("n") ?? TAGS_MAX);
    const count = Number.isInteger(asked) && asked >= 0 ? Math.min(asked, TAGS_MAX) : TAGS_MAX;
    const rest = store.tags(repository).filter((tag) => last === null || tag > last);
    const tags = rest.slice(0, count);
    const end = tags.at(-1);
    const more =
      end === undefined || rest.length <= count
        ? undefined
        : `</v2/${name}/tags/list?n=${count}&last=${encodeURIComponent(end)}>; rel="next"`;
    return Response.json({ name, tags }, { headers: more === undefined ? {} : { link: more } });
  }

  /** Manifests of the repository that are about another one, such as signatures. */
  async #referrers(request: Request, { repository, digest }: Lists): Promise<Response> {
    requireReading(request.method);
    const { store } = this.#options;
    const type = new URL(request.url).searchParams.get("artifactType");
    const manifests: object[] = [];
    const seen = new Set<string>();
    for (const entry of store.entries()) {
      if (entry.repository !== repository || seen.has(entry.digest)) continue;
      seen.add(entry.digest);
      const manifest = await store.manifest(entry.digest);
      if (manifest?.subject?.digest !== digest) continue;
      const { artifactType, annotations } = manifest;
      if (type !== null && artifactType !== type) continue;
      const { mediaType, size } = entry;
      manifests.push({
        mediaType,
        digest: entry.digest,
        size,
        ...(artifactType === undefined ? {} : { artifactType }),
        ...(annotations === undefined ? {} : { annotations }),
      });
    }
    const body = { schemaVersion: 2, mediaType: OCI_INDEX, manifests };
    const filtered: Record<string, string> =
      type === null ? {} : { "oci-filters-applied": "artifactType" };
    return Response.json(body, { headers: { ...filtered, "content-type": OCI_INDEX } });
  }
}

function decodePath(pathname: string): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    // Broken escapes: no name has any.
    throw new RegistryError("NAME_INVALID", "the name of the repository is none");
  }
}

function requireReading(method: string): void {
  if (method === "GET" || method === "HEAD") return;
  throw new RegistryError("UNSUPPORTED", `${method} is not for this address`);
}

function requireDigest(bytes: Uint8Array, digest: string): void {
  const found = `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
  if (found === digest) return;
  throw new RegistryError("DIGEST_INVALID", `the manifest is ${found}, and not ${digest}`);
}

async function bodyOf(request: Request, bytesMax: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of (request.body ?? []) as AsyncIterable<Uint8Array>) {
    length += piece.length;
    if (length > bytesMax) throw new OrchdError("tooLarge", "the manifest is larger than 4 MiB");
    pieces.push(piece);
  }
  return new Uint8Array(Buffer.concat(pieces));
}

function unknownManifest(): RegistryError {
  return new RegistryError("MANIFEST_UNKNOWN", "there is no such image");
}
