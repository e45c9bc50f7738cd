import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import { digestOf, DOCUMENT_BYTES_MAX } from "./content.ts";
import { type Descriptor, MEDIA } from "./image-documents.ts";

const ANSWER_MS = 30_000;
const ACCEPTED = [MEDIA.manifest, MEDIA.index, MEDIA.dockerManifest, MEDIA.dockerList].join(", ");
const DOCKER_HUB = { name: "docker.io", host: "registry-1.docker.io" };

const tokenSchema = z.object({ token: z.string().optional(), access_token: z.string().optional() });

/**
 * One repository of a registry, read without an account (OCI distribution-spec 1.0). This machine
 * itself may be asked without TLS; all others only with it.
 */
export class Registry {
  readonly #base: string;
  readonly #path: string;
  #authorization: string | undefined;

  constructor(repository: string) {
    const slash = repository.indexOf("/");
    const name = repository.slice(0, slash);
    const host = name === DOCKER_HUB.name ? DOCKER_HUB.host : name;
    const isOwn = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?$/.test(host);
    this.#path = repository.slice(slash + 1);
    this.#base = `${isOwn ? "http" : "https"}://${host}/v2/${this.#path}`;
  }

  /** A manifest or an index, by tag or digest. */
  async document(wanted: string): Promise<{ mediaType: string; bytes: Uint8Array }> {
    const reply = await this.#get(`/manifests/${wanted}`, ACCEPTED);
    const bytes = await bytesOf(reply);
    if (wanted.startsWith("sha256:") && digestOf(bytes) !== wanted) throw altered(wanted);
    return { mediaType: reply.headers.get("content-type")?.split(";")[0] ?? "", bytes };
  }

  async bytes({ digest }: Descriptor): Promise<Uint8Array> {
    const bytes = await bytesOf(await this.#get(`/blobs/${digest}`));
    if (digestOf(bytes) !== digest) throw altered(digest);
    return bytes;
  }

  /** A layer as it comes; whoever keeps it checks its digest. */
  async blob({ digest }: Descriptor): Promise<AsyncIterable<Uint8Array>> {
    const { body } = await this.#get(`/blobs/${digest}`);
    if (body === null) throw new OrchdError("runtime", "the transfer was cut off");
    return body;
  }

  async #get(path: string, accept = "*/*"): Promise<Response> {
    const first = await this.#ask(path, accept);
    if (first.status !== 401) return requireFound(first);
    const challenge = first.headers.get("www-authenticate") ?? "";
    this.#authorization = `Bearer ${await this.#token(challenge)}`;
    return requireFound(await this.#ask(path, accept));
  }

  async #ask(path: string, accept: string): Promise<Response> {
    const authorization = this.#authorization;
    return ask(`${this.#base}${path}`, {
      accept,
      ...(authorization === undefined ? {} : { authorization }),
    });
  }

  /** A registry sends those without an account to fetch a token that says so. */
  async #token(challenge: string): Promise<string> {
    const valueOf = (key: string) => challenge.match(new RegExp(`${key}="([^"]*)"`))?.[1];
    const realm = valueOf("realm");
    if (realm === undefined || !/^Bearer /i.test(challenge) || !URL.canParse(realm)) {
      throw new OrchdError("runtime", "authentication required");
    }
    const url = new URL(realm);
    const service = valueOf("service");
    if (service !== undefined) url.searchParams.set("service", service);
    url.searchParams.set("scope", valueOf("scope") ?? `repository:${this.#path}:pull`);
    const reply = requireFound(await ask(url.href, {}));
    const { token, access_token: other } = tokenSchema.parse(await reply.json());
    const given = token ?? other;
    if (given === undefined) throw new OrchdError("runtime", "authentication required");
    return given;
  }
}

/** The answer has to begin in time; what follows may take as long as it takes. */
async function ask(url: string, headers: Record<string, string>): Promise<Response> {
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), ANSWER_MS);
  try {
    return await fetch(url, { headers, signal: giveUp.signal });
  } catch (cause) {
    throw new OrchdError("runtime", reasonOf(cause), { cause });
  } finally {
    clearTimeout(timer);
  }
}

function reasonOf(cause: unknown): string {
  const text = cause instanceof Error ? `${cause.name} ${cause.message}` : "";
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : "";
  if (code === "ENOTFOUND" || /getaddrinfo|resolve/i.test(text)) return "no such host";
  if (/abort/i.test(text)) return "i/o timeout";
  return /cert|tls|ssl/i.test(text) ? `its certificate is not trusted (${text})` : "unreachable";
}

function requireFound(reply: Response): Response {
  if (reply.ok) return reply;
  if (reply.status === 404) throw new OrchdError("runtime", "manifest unknown");
  if (reply.status === 401 || reply.status === 403) throw new OrchdError("runtime", "unauthorized");
  throw new OrchdError("runtime", `its registry answers with ${reply.status}`);
}

async function bytesOf(reply: Response): Promise<Uint8Array> {
  const bytes = new Uint8Array(await reply.arrayBuffer());
  if (bytes.length <= DOCUMENT_BYTES_MAX) return bytes;
  throw new OrchdError("runtime", "its registry sends far more than makes sense");
}

function altered(digest: string): OrchdError {
  return new OrchdError("runtime", `its registry sends something else than ${digest}`);
}
