import type { Clock } from "../lib/clock.ts";
import { OrchdError } from "../lib/errors.ts";
import { isDigest, repositoryFromWire } from "../core/oci/reference.ts";
import type { ImageStore } from "./image-store.ts";
import { isInScope } from "../model/registry-scope.ts";
import { canSeeAll, type Scopes } from "./registry-access.ts";
import { RegistryError } from "./registry-error.ts";
import type { RegistryRoute } from "./registry-route.ts";
import type { RepositoryParts } from "./repository-parts.ts";
import { Uploads } from "./uploads.ts";

type UploadRoute = Extract<RegistryRoute, { kind: "upload" }>;

/** Pushing blobs: at once, in chunks, and by naming one that is here already. */
export class UploadRoutes {
  readonly #store: ImageStore;
  readonly #parts: RepositoryParts;
  readonly #uploads: Uploads;

  constructor(store: ImageStore, parts: RepositoryParts, clock: Clock) {
    this.#store = store;
    this.#parts = parts;
    this.#uploads = new Uploads(store, clock);
  }

  close(): Promise<void> {
    return this.#uploads.close();
  }

  /** @param scopes what whoever asks may do; absent means everything */
  async answer(request: Request, route: UploadRoute, scopes?: Scopes): Promise<Response> {
    const { id, repository } = route;
    if (id === undefined) {
      if (request.method === "POST") return this.#begin(request, route, scopes);
      throw new RegistryError("UNSUPPORTED", `${request.method} is not for this address`);
    }
    switch (request.method) {
      case "GET":
        return this.#progress(route, id, this.#uploads.bytesOf(repository, id), 204);
      case "PATCH": {
        const start = startIn(request.headers.get("content-range"));
        const bytes = await this.#append(request, repository, id, start);
        return this.#progress(route, id, bytes, 202);
      }
      case "PUT":
        return this.#finish(request, route, id);
      case "DELETE":
        await this.#uploads.cancel(repository, id);
        return new Response(null, { status: 204 });
      default:
        throw new RegistryError("UNSUPPORTED", `${request.method} is not for this address`);
    }
  }

  async #begin(request: Request, route: UploadRoute, scopes?: Scopes): Promise<Response> {
    const { searchParams } = new URL(request.url);
    const mount = searchParams.get("mount") ?? "";
    if (isDigest(mount) && (await this.#canMount(mount, searchParams.get("from"), scopes))) {
      this.#parts.notePushed(route.repository, mount);
      return created(route.name, mount);
    }
    const id = await this.#uploads.begin(route.repository);
    if (!searchParams.has("digest")) return this.#progress(route, id, 0, 202);
    return this.#finish(request, route, id);
  }

  /** Who may see all repositories need not say which one has the blob. */
  async #canMount(digest: string, from: string | null, scopes?: Scopes): Promise<boolean> {
    if (scopes !== undefined && !canSeeAll(scopes)) {
      const source = repositoryFromWire(from ?? "");
      if (source === undefined || !isInScope(scopes, "pull", source)) return false;
      if (!(await this.#parts.has(source, digest))) return false;
    }
    return (await this.#store.sizeOf(digest)) !== undefined;
  }

  async #finish(request: Request, { name, repository }: UploadRoute, id: string) {
    const digest = new URL(request.url).searchParams.get("digest") ?? "";
    if (!isDigest(digest)) {
      throw new RegistryError("DIGEST_INVALID", "the digest must be sha256: and 64 hex digits");
    }
    const start = startIn(request.headers.get("content-range"));
    await this.#append(request, repository, id, start);
    try {
      await this.#uploads.finish(repository, id, digest);
    } catch (error) {
      if (!(error instanceof OrchdError) || error.code !== "damaged") throw error;
      throw new RegistryError("DIGEST_INVALID", error.message);
    }
    this.#parts.notePushed(repository, digest);
    return created(name, digest);
  }

  #append(request: Request, repository: string, id: string, start: number | undefined) {
    const body = request.body as AsyncIterable<Uint8Array> | null;
    return this.#uploads.append(repository, id, body, start);
  }

  #progress({ name }: UploadRoute, id: string, bytes: number, status: number): Response {
    return new Response(null, {
      status,
      headers: {
        location: `/v2/${name}/blobs/uploads/${id}`,
        range: `0-${Math.max(0, bytes - 1)}`,
        "docker-upload-uuid": id,
      },
    });
  }
}

function created(name: string, digest: string): Response {
  return new Response(null, {
    status: 201,
    headers: { location: `/v2/${name}/blobs/${digest}`, "docker-content-digest": digest },
  });
}

/** Where a chunk begins, as `Content-Range: 0-1023` says. */
function startIn(header: string | null): number | undefined {
  if (header === null) return undefined;
  const [, start] = /^(?:bytes )?(\d{1,15})-\d{1,15}(?:\/(?:\d+|\*))?$/.exec(header) ?? [];
  if (start !== undefined) return Number(start);
  throw new RegistryError("RANGE_INVALID", "the range of the chunk makes no sense");
}
