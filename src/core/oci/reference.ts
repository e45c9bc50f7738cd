import type { Parsed } from "../../lib/parsed.ts";

/**
 * Names of images, as the reference grammar of Docker and containers/image has them
 * (distribution/reference, reference.go), always in full: `docker.io/library/web:1`.
 */
export interface ImageReference {
  /** Where it is from: a host with or without a port. */
  host: string;
  /** `library/web` */
  path: string;
  /** Absent only where there is a digest. */
  tag?: string;
  /** `sha256:…` */
  digest?: string;
}

const HOST = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9-]+)*(?::\d{1,5})?$/;
const ADDRESS_6 = /^\[[0-9a-fA-F:]{2,39}\](?::\d{1,5})?$/;
const PATH_NAME = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const PATH = new RegExp(`^${PATH_NAME}(?:/${PATH_NAME})*$`);
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const NAME_MAX = 255;
const DOCKER_HUB = "docker.io";

export function isDigest(text: string): boolean {
  return DIGEST.test(text);
}

export function isTag(text: string): boolean {
  return TAG.test(text);
}

/** `web` is `docker.io/library/web:latest`, as people mean it who write Compose files. */
export function parseImageReference(text: string): Parsed<ImageReference> {
  const refused = (why: string): Parsed<ImageReference> => ({
    ok: false,
    problem: `${JSON.stringify(text.slice(0, 300))} is no name of an image: ${why}`,
  });
  const [named = "", digest, ...more] = text.split("@");
  if (more.length > 0 || (digest !== undefined && !isDigest(digest))) {
    return refused("behind @ stands sha256: and 64 hexadecimal digits");
  }
  const colon = named.lastIndexOf(":");
  const hasTag = colon > named.lastIndexOf("/");
  const tag = hasTag ? named.slice(colon + 1) : undefined;
  if (tag !== undefined && !isTag(tag)) return refused("its tag is none");
  const name = hasTag ? named.slice(0, colon) : named;
  if (name.length > NAME_MAX) return refused(`it is longer than ${NAME_MAX} characters`);
  const { host, path } = hostAndPath(name);
  if (!HOST.test(host) && !ADDRESS_6.test(host)) return refused("its host is none");
  if (!PATH.test(path)) return refused("it is lower case, with single / . - or _ in between");
  const ends = {
    ...(tag !== undefined || digest === undefined ? { tag: tag ?? "latest" } : {}),
    ...(digest === undefined ? {} : { digest }),
  };
  return { ok: true, value: { host, path, ...ends } };
}

function hostAndPath(name: string): { host: string; path: string } {
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  const isHost = first === "localhost" || /[.:[]/.test(first) || /[A-Z]/.test(first);
  const host = isHost ? first : DOCKER_HUB;
  const path = isHost ? name.slice(slash + 1) : name;
  const official = host === "index.docker.io" ? DOCKER_HUB : host.toLowerCase();
  const isShort = official === DOCKER_HUB && path !== "" && !path.includes("/");
  return { host: official, path: isShort ? `library/${path}` : path };
}

/** A tag that stands for a digest, where only a tag will do. */
export function tagOfDigest(digest: string): string {
  return digest.replace("sha256:", "sha256-");
}

/** What a tag of `tagOfDigest` stands for; undefined for every other tag. */
export function digestOfTag(tag: string): string | undefined {
  const digest = tag.replace("sha256-", "sha256:");
  return isDigest(digest) ? digest : undefined;
}

/** `docker.io/library/web` */
export function repositoryOf({ host, path }: ImageReference): string {
  return `${host}/${path}`;
}

/** In full; a digest stands in the place of the tag. */
export function formatImageReference(reference: ImageReference): string {
  const { tag, digest } = reference;
  const name = repositoryOf(reference);
  return digest === undefined ? `${name}:${tag ?? "latest"}` : `${name}@${digest}`;
}

/**
 * The name of a repository as it stands in addresses of a registry, which has room for lower case
 * and no colon: `host:5000/web` is `host__5000/web`, since no host has two underscores, and
 * `[2001:db8::1]/web` is `ip6-2001-db8--1/web`.
 */
export function wireNameOf(repository: string): string {
  const slash = repository.indexOf("/");
  const host = repository.slice(0, slash);
  const [, address, port = ""] = /^\[(.*)\](.*)$/.exec(host) ?? [];
  const name = address === undefined ? host : `ip6-${address.replaceAll(":", "-")}${port}`;
  return `${name.replace(":", "__")}${repository.slice(slash)}`;
}

/** The other way; what names no host is Docker Hub's, as everywhere. Undefined where it is none. */
export function repositoryFromWire(name: string): string | undefined {
  if (name.length > NAME_MAX || !PATH.test(name)) return undefined;
  const [first = ""] = name.split("/");
  const [wireHost = "", port, ...more] = first.split("__");
  const [, address] = /^ip6-([0-9a-f-]+)$/.exec(wireHost) ?? [];
  const host = address === undefined ? wireHost : `[${address.replaceAll("-", ":")}]`;
  if (first === name || (port === undefined && address === undefined)) {
    const { host: of, path } = hostAndPath(name);
    return `${of}/${path}`;
  }
  if (more.length > 0 || (port !== undefined && !/^\d{1,5}$/.test(port))) return undefined;
  return `${host}${port === undefined ? "" : `:${port}`}${name.slice(first.length)}`;
}
