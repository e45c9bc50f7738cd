import { z } from "zod";
import { wireNameOf } from "../../core/oci/reference.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { ImageSummary } from "../../model/session.ts";
import type { ImageIdentity, TakenImage } from "../driver.ts";
import { queryOf, type PodmanHttp } from "../podman/http.ts";
import { pullError, qualifiedNameOf, readPullLines, repositoryOf } from "../podman/images.ts";

const ANSWER_MS = 60_000;
const NAMELESS = "<none>:<none>";
const NAMELESS_DIGEST = "<none>@<none>";

export const listedImageSchema = z.object({
  Id: z.string(),
  RepoTags: z.array(z.string()).nullish(),
  RepoDigests: z.array(z.string()).nullish(),
  Created: z.number(),
  Size: z.number(),
});
const inspectedImageSchema = z.object({
  Id: z.string(),
  Os: z.string().default(""),
  Architecture: z.string().default(""),
  RepoDigests: z.array(z.string()).nullish(),
});

/** Names of an image, in full; what Docker has no name for has none. */
export function namesIn(names: readonly string[] | null | undefined): string[] {
  const given = (names ?? []).filter((name) => name !== NAMELESS && name !== NAMELESS_DIGEST);
  return given.map(qualifiedNameOf);
}

/** The images of Docker; what each call does is as in `podman/images.ts`. */
export class DockerImages {
  readonly #http: PodmanHttp;

  constructor(http: PodmanHttp) {
    this.#http = http;
  }

  async has(reference: string): Promise<boolean> {
    return (await this.#inspect(reference)) !== undefined;
  }

  async identity(reference: string): Promise<ImageIdentity | undefined> {
    const image = await this.#inspect(reference);
    if (image === undefined) return undefined;
    const repository = repositoryOf(qualifiedNameOf(reference));
    const id = image.Id.replace(/^sha256:/, "");
    return { id, digests: digestsIn(namesIn(image.RepoDigests), repository) };
  }

  async platform(reference: string): Promise<string | undefined> {
    const { Os = "", Architecture = "" } = (await this.#inspect(reference)) ?? {};
    return Os === "" || Architecture === "" ? undefined : `${Os}/${Architecture}`;
  }

  async pull(reference: string, platform?: string): Promise<void> {
    const name = qualifiedNameOf(reference);
    if (name.startsWith("localhost/")) {
      throw new OrchdError(
        "notFound",
        `image ${reference} is not on this node, and localhost/ images are in no registry; ` +
          `load it with: orchd image load`,
      );
    }
    await this.#fetch(name, platform, reference);
    // A reply that was cut off looks like one that ended.
    if (!(await this.has(name))) throw pullError(reference, "the transfer was cut off");
  }

  /**
   * By its digest, which Docker goes on knowing as where it is from; a tag of that registry would
   * have to be taken away again, and its digest would go with it.
   */
  async take({ from, repository, tag, platform }: TakenImage): Promise<void> {
    const name = `${repository}:${tag}`;
    const digest = await digestAt(from, name);
    const exact = `${repositoryOf(from)}@${digest}`;
    await this.#fetch(exact, platform, name);
    await this.#http.send("POST", `/images/${encodeURIComponent(exact)}/tag`, {
      query: { repo: repository, tag },
    });
  }

  async list(): Promise<ImageSummary[]> {
    const images = await this.#http.json(z.array(listedImageSchema), "GET", "/images/json");
    return images.map(({ Id, RepoTags, Size, Created }) => ({
      id: Id.replace(/^sha256:/, ""),
      references: namesIn(RepoTags),
      sizeBytes: Size,
      createdAt: Created * 1000,
    }));
  }

  async #fetch(name: string, platform: string | undefined, told: string): Promise<void> {
    const repository = repositoryOf(name);
    // Without a tag Docker would fetch all of them.
    const tag = name === repository ? "latest" : name.slice(repository.length + 1);
    const query = { fromImage: repository, tag, ...(platform === undefined ? {} : { platform }) };
    try {
      const { signal } = new AbortController();
      const path = `/images/create${queryOf(query)}`;
      await readPullLines(await this.#http.stream("POST", path, signal, ANSWER_MS));
    } catch (error) {
      if (!(error instanceof OrchdError) || error.code === "unreachable") throw error;
      throw pullError(told, error.message);
    }
  }

  async #inspect(reference: string): Promise<z.infer<typeof inspectedImageSchema> | undefined> {
    try {
      const path = `/images/${encodeURIComponent(qualifiedNameOf(reference))}/json`;
      return await this.#http.json(inspectedImageSchema, "GET", path);
    } catch (error) {
      // Not here: an expected answer.
      if (error instanceof OrchdError && error.code === "notFound") return undefined;
      throw error;
    }
  }
}

/** The digests by which the registry of a repository has an image, or this site in its place. */
function digestsIn(names: readonly string[], repository: string): string[] {
  if (repository.startsWith("localhost/")) return [];
  const atSite = `/${wireNameOf(repository)}`;
  const found = names.flatMap((name) => {
    const [from = "", digest] = name.split("@");
    const isThere =
      from === repository || (/^127\.0\.0\.1:\d+\//.test(from) && from.endsWith(atSite));
    return isThere && digest !== undefined ? [digest] : [];
  });
  return [...new Set(found)];
}

/** The digest that a tag means in a registry of this machine. */
async function digestAt(from: string, name: string): Promise<string> {
  const repository = repositoryOf(from);
  const [host = "", ...path] = repository.split("/");
  const url = `http://${host}/v2/${path.join("/")}/manifests/${from.slice(repository.length + 1)}`;
  const accept = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
  ].join(", ");
  let reply: Response;
  try {
    const signal = AbortSignal.timeout(ANSWER_MS);
    reply = await fetch(url, { method: "HEAD", headers: { accept }, signal });
  } catch (cause) {
    throw new OrchdError("runtime", `image ${name} could not be fetched: its registry is away`, {
      retryable: true,
      cause,
    });
  }
  const digest = reply.headers.get("docker-content-digest");
  if (reply.status === 404) throw pullError(name, "manifest unknown");
  if (!reply.ok || digest === null) throw pullError(name, `its registry answers ${reply.status}`);
  return digest;
}
