import { z } from "zod";
import { OrchdError } from "../lib/errors.ts";
import { type Challenge, parseChallenge } from "../core/oci/challenge.ts";
import { MANIFEST_BYTES_MAX, MANIFEST_TYPES } from "../core/oci/manifest.ts";
import type { RegistryLogin } from "../model/registry-login.ts";
import type { ImageSource, SourceManifest } from "./mirror.ts";
import { ask, bytesOf, isOwnMachine, smallBody } from "./upstream-request.ts";

const TOKEN_BYTES_MAX = 64 * 1024;
/** So much earlier than it says a token counts as used up. */
const TOKEN_MARGIN_MS = 10_000;
const TOKEN_LIFE_MS = 60_000;
const DOCKER_HUB = { name: "docker.io", host: "registry-1.docker.io" };

const tokenSchema = z.object({
  token: z.string().min(1).optional(),
  access_token: z.string().min(1).optional(),
  expires_in: z.number().min(0).optional(),
});

export interface UpstreamOptions {
  /** Who this is to a registry; undefined is nobody. */
  login(this: void, host: string): RegistryLogin | undefined;
  now(): number;
}

/** Registries elsewhere, as a site is told of them. */
export interface Upstream {
  /** `docker.io`, `registry.example:5000`; `*` means all. */
  hosts: readonly string[];
  /** Who the site is to a registry; undefined is nobody. */
  login(this: void, host: string): RegistryLogin | undefined;
}

interface Token {
  authorization: string;
  /** Milliseconds since 1970; absent means for ever. */
  until?: number;
}

/**
 * Registries elsewhere, as their clients read them: OCI distribution specification 1.1, "Pull",
 * with a name and password, or with Docker's tokens. This machine itself may be asked without TLS,
 * all others only with it, and who this is, is told to nobody but them and whom they send it to
 * over TLS.
 */
export class UpstreamRegistries implements ImageSource {
  readonly #options: UpstreamOptions;
  /** By repository: a token is for one. */
  readonly #tokens = new Map<string, Token>();

  constructor(options: UpstreamOptions) {
    this.#options = options;
  }

  /** @throws OrchdError `unauthorized`, `unreachable` (retryable) */
  async manifest(repository: string, reference: string): Promise<SourceManifest | undefined> {
    const headers = { accept: MANIFEST_TYPES.join(", ") };
    const response = await this.#get(repository, `manifests/${reference}`, headers);
    if (response === undefined) return undefined;
    const bytes = await smallBody(response, MANIFEST_BYTES_MAX);
    const mediaType = response.headers.get("content-type")?.split(";")[0]?.trim() ?? "";
    return { bytes, mediaType };
  }

  /** @throws OrchdError `unauthorized`, `unreachable` (retryable) */
  async blob(
    repository: string,
    digest: string,
    from: number,
  ): Promise<AsyncIterable<Uint8Array> | undefined> {
    const headers: Record<string, string> = from === 0 ? {} : { range: `bytes=${from}-` };
    const response = await this.#get(repository, `blobs/${digest}`, headers);
    return response && bytesOf(response, from);
  }

  /** Undefined for what is not there. */
  async #get(
    repository: string,
    path: string,
    headers: Record<string, string>,
  ): Promise<Response | undefined> {
    const { host, base, name } = addressOf(repository);
    const url = `${base}/v2/${name}/${path}`;
    const known = this.#tokens.get(repository);
    const isGood = known !== undefined && (known.until ?? Infinity) > this.#options.now();
    let response = await ask(url, isGood ? { ...headers, ...asHeader(known) } : headers);
    if (response.status === 401) {
      await response.body?.cancel();
      const challenge = parseChallenge(response.headers.get("www-authenticate") ?? "");
      const token = await this.#authorize(host, name, challenge);
      this.#tokens.set(repository, token);
      response = await ask(url, { ...headers, ...asHeader(token) });
    }
    if ([200, 206, 416].includes(response.status)) return response;
    await response.body?.cancel();
    return refuse(host, repository, response.status);
  }

  async #authorize(host: string, name: string, challenge: Challenge | undefined): Promise<Token> {
    const login = this.#options.login(host);
    const basic =
      login && `Basic ${Buffer.from(`${login.username}:${login.password}`).toString("base64")}`;
    if (challenge === undefined || (challenge.scheme === "basic" && basic === undefined)) {
      throw unauthorized(host, login);
    }
    if (challenge.scheme === "basic") return { authorization: basic ?? "" };
    const url = new URL(challenge.realm);
    if (url.protocol !== "https:" && !isOwnMachine(url.host)) {
      throw new OrchdError("unauthorized", `${host} wants the login sent without encryption`);
    }
    if (challenge.service !== undefined) url.searchParams.set("service", challenge.service);
    url.searchParams.set("scope", challenge.scope ?? `repository:${name}:pull`);
    const reply = await ask(url.href, basic === undefined ? {} : { authorization: basic });
    const text = (await smallBody(reply, TOKEN_BYTES_MAX)).toString();
    if (reply.status === 401 || reply.status === 403) throw unauthorized(host, login);
    const parsed = tokenSchema.safeParse(jsonOf(text)).data;
    const token = parsed?.token ?? parsed?.access_token;
    if (!reply.ok || token === undefined) throw unreachable(`${host} gives no token to pull with`);
    const life = parsed?.expires_in === undefined ? TOKEN_LIFE_MS : parsed.expires_in * 1000;
    const until = this.#options.now() + Math.max(0, life - TOKEN_MARGIN_MS);
    return { authorization: `Bearer ${token}`, until };
  }
}

function addressOf(repository: string): { host: string; base: string; name: string } {
  const slash = repository.indexOf("/");
  const host = repository.slice(0, slash);
  const reached = host === DOCKER_HUB.name ? DOCKER_HUB.host : host;
  const scheme = isOwnMachine(reached) ? "http" : "https";
  return { host, base: `${scheme}://${reached}`, name: repository.slice(slash + 1) };
}

function asHeader({ authorization }: Token): Record<string, string> {
  return { authorization };
}

function refuse(host: string, repository: string, status: number): undefined {
  if (status === 404) return undefined;
  if (status === 401 || status === 403) {
    throw new OrchdError("unauthorized", `${host} does not let this login pull ${repository}`);
  }
  throw unreachable(`${host} gives no images now: it answered ${status}`);
}

function unauthorized(host: string, login: RegistryLogin | undefined): OrchdError {
  const message =
    login === undefined
      ? `${host} wants a login: give one with --creds-file`
      : `${host} does not take the login`;
  return new OrchdError("unauthorized", message);
}

function unreachable(message: string): OrchdError {
  return new OrchdError("unreachable", message, { retryable: true });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // Who sent it gives no token, which is said in other words.
    return undefined;
  }
}
