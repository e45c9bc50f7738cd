import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import type { ImageSummary } from "../../model/session.ts";
import type { ImageIdentity, TakenImage } from "../driver.ts";
import { sentenceOf } from "./errors.ts";
import { queryOf, type PodmanHttp } from "./http.ts";
import { linesOf } from "./lines.ts";

const listedImageSchema = z.object({
  Id: z.string(),
  RepoTags: z.array(z.string()).nullish(),
  Created: z.number(),
  Size: z.number(),
});
const inspectedImageSchema = z.object({
  Id: z.string(),
  Os: z.string(),
  Architecture: z.string(),
  Digest: z.string().nullish(),
  RepoDigests: z.array(z.string()).nullish(),
});
const pullLineSchema = z.object({ error: z.string().optional() });

const LINE_LENGTH_MAX = 1024 * 1024;
const PULL_ANSWER_TIMEOUT_MS = 60_000;

export async function hasImage(http: PodmanHttp, reference: string): Promise<boolean> {
  if (await exists(http, reference)) return true;
  const qualified = qualifiedNameOf(reference);
  return qualified !== reference && (await exists(http, qualified));
}

/** What an image is; undefined for one that is not there. */
export async function imageIdentity(
  http: PodmanHttp,
  reference: string,
): Promise<ImageIdentity | undefined> {
  const name = qualifiedNameOf(reference);
  const image = await inspect(http, name);
  if (image === undefined) return undefined;
  return { id: image.Id, digests: digestsIn(image.RepoDigests ?? [], name, image.Digest ?? "") };
}

/** `linux/arm64`; undefined for an image that is not here, or does not say. */
export async function imagePlatform(
  http: PodmanHttp,
  reference: string,
): Promise<string | undefined> {
  for (const name of new Set([reference, qualifiedNameOf(reference)])) {
    const image = await inspect(http, name);
    if (image === undefined) continue;
    const { Os, Architecture } = image;
    return Os === "" || Architecture === "" ? undefined : `${Os}/${Architecture}`;
  }
  return undefined;
}

async function inspect(
  http: PodmanHttp,
  name: string,
): Promise<z.infer<typeof inspectedImageSchema> | undefined> {
  try {
    const path = `/images/${encodeURIComponent(name)}/json`;
    return await http.json(inspectedImageSchema, "GET", path);
  } catch (error) {
    // Not here: an expected answer.
    if (error instanceof OrchdError && error.code === "notFound") return undefined;
    throw error;
  }
}

/**
 * The digests under which the registry of `name` has the image. That of an index, which is there
 * for all platforms, stands beside the one of the image itself and comes first.
 */
function digestsIn(repoDigests: readonly string[], name: string, own: string): string[] {
  const repository = repositoryOf(name);
  if (repository.startsWith("localhost/")) return [];
  const found = repoDigests.flatMap((text) => {
    const [of, digest] = text.split("@");
    return of === repository && digest !== undefined ? [digest] : [];
  });
  return [...found.filter((digest) => digest !== own), ...found.filter((d) => d === own)];
}

/** `host:5000/web` of `host:5000/web:1` and of `host:5000/web@sha256:…`. */
export function repositoryOf(reference: string): string {
  const [name = ""] = reference.split("@");
  const colon = name.lastIndexOf(":");
  return colon > name.lastIndexOf("/") ? name.slice(0, colon) : name;
}

/**
 * Fetches an image from its registry; one without a registry in its name is Docker Hub's.
 * @throws OrchdError `notFound` for images that no registry has, `noSpace`, else `runtime`
 */
export async function pullImage(
  http: PodmanHttp,
  reference: string,
  platform?: string,
): Promise<void> {
  const name = qualifiedNameOf(reference);
  if (name.startsWith("localhost/")) {
    throw new OrchdError(
      "notFound",
      `image ${reference} is not on this node, and localhost/ images are in no registry; ` +
        `load it with: orchd image load`,
    );
  }
  try {
    await fetchImage(http, name, platformQuery(platform));
  } catch (error) {
    if (!(error instanceof OrchdError) || error.code === "unreachable") throw error;
    throw pullError(reference, error.message);
  }
  // A reply that was cut off looks like one that ended.
  if (!(await exists(http, name))) throw pullError(reference, "the transfer was cut off");
}

async function fetchImage(
  http: PodmanHttp,
  reference: string,
  query: Record<string, string | boolean>,
): Promise<void> {
  const signal = new AbortController().signal;
  const path = `/images/pull${queryOf({ reference, ...query })}`;
  // It says nothing before it has begun, and a registry may have to fetch what it asks for.
  await readPullLines(await http.stream("POST", path, signal, PULL_ANSWER_TIMEOUT_MS));
}

/** Reads what a transfer says of itself to its end. */
export async function readPullLines(reply: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const line of linesOf(reply, LINE_LENGTH_MAX)) requirePulling(line);
}

function platformQuery(platform: string | undefined): Record<string, string> {
  const [os, arch, variant] = (platform ?? "").split("/");
  return {
    ...(os ? { OS: os } : {}),
    ...(arch ? { Arch: arch } : {}),
    ...(variant ? { Variant: variant } : {}),
  };
}

/** 200 is answered before it is known, so errors come as lines of the body. */
function requirePulling(line: string): void {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // A line that was cut off; whether the image came is checked at the end.
    return;
  }
  const parsed = pullLineSchema.safeParse(value);
  if (parsed.success && parsed.data.error !== undefined) {
    throw new OrchdError("runtime", parsed.data.error);
  }
}

/**
 * Fetches an image from a registry of this machine, which needs no TLS, and gives it a name of its
 * own in place of the one by which it came.
 * @throws OrchdError `notFound`, `noSpace`, else `runtime`
 */
export async function takeImage(
  http: PodmanHttp,
  { from, repository, tag, platform }: TakenImage,
): Promise<void> {
  const name = `${repository}:${tag}`;
  try {
    await fetchImage(http, from, { tlsVerify: false, ...platformQuery(platform) });
  } catch (error) {
    if (!(error instanceof OrchdError) || error.code === "unreachable") throw error;
    throw pullError(name, error.message);
  }
  const path = `/images/${encodeURIComponent(from)}`;
  await http.send("POST", `${path}/tag`, { query: { repo: repository, tag } });
  const end = from.lastIndexOf(":");
  const left = { repo: from.slice(0, end), tag: from.slice(end + 1) };
  await http.send("POST", `${path}/untag`, { query: left });
}

export async function listImages(http: PodmanHttp): Promise<ImageSummary[]> {
  const images = await http.json(z.array(listedImageSchema), "GET", "/images/json");
  return images.map((image) => ({
    id: image.Id,
    references: image.RepoTags ?? [],
    sizeBytes: image.Size,
    createdAt: image.Created * 1000,
  }));
}

/** `nginx` is `docker.io/library/nginx`, as people who write Compose files mean it. */
export function qualifiedNameOf(reference: string): string {
  if (/^(sha256:)?[0-9a-f]{64}$/.test(reference)) return reference;
  const slash = reference.indexOf("/");
  const first = slash < 0 ? "" : reference.slice(0, slash);
  if (first === "localhost" || first.includes(".") || first.includes(":")) return reference;
  return slash < 0 ? `docker.io/library/${reference}` : `docker.io/${reference}`;
}

async function exists(http: PodmanHttp, reference: string): Promise<boolean> {
  try {
    await http.send("GET", `/images/${encodeURIComponent(reference)}/exists`);
    return true;
  } catch (error) {
    // Not here: an expected answer.
    if (error instanceof OrchdError && error.code === "notFound") return false;
    throw error;
  }
}

/** What a failed transfer means, in one sentence with the image's name. */
export function pullError(reference: string, reason: string): OrchdError {
  const told = reasonOf(reason);
  const code = told.code;
  const message = `image ${reference} is not on this node and could not be fetched: ${told.text}`;
  return new OrchdError(code, message, { retryable: code === "runtime" });
}

/** What a failed transfer means, without the registry client's chain of calls. */
function reasonOf(text: string): { code: "notFound" | "noSpace" | "runtime"; text: string } {
  if (/no space left/i.test(text)) return { code: "noSpace", text: "the node's disk is full" };
  if (/manifest unknown|name unknown|not found: manifest|repository .* not found/i.test(text)) {
    return { code: "notFound", text: "its registry does not have it" };
  }
  if (/unauthorized|access .*denied|authentication required/i.test(text)) {
    return { code: "notFound", text: "its registry does not have it or asks for a login" };
  }
  if (/no such host|server misbehaving|temporary failure in name/i.test(text)) {
    return { code: "runtime", text: "its registry's name can't be resolved (is there a network?)" };
  }
  if (/connection refused|no route|unreachable|i\/o timeout|deadline exceeded/i.test(text)) {
    return { code: "runtime", text: "its registry can't be reached" };
  }
  if (/no image found in manifest list|no matching manifest/i.test(text)) {
    return { code: "notFound", text: "its registry has it for other kinds of processor only" };
  }
  return { code: "runtime", text: sentenceOf(text) };
}
