import { z } from "zod";
import { OrchdError } from "../lib/errors.ts";
import type { RegistryLogin } from "../model/registry-login.ts";
import type { Io } from "./io.ts";
import { readContent } from "./read-bytes.ts";

/** What `docker login` and `podman login` write: config.json, auth.json. */
const authsSchema = z.object({
  auths: z.record(z.string(), z.object({ auth: z.string().optional() })),
});
/** What Docker Hub is called there. */
const DOCKER_HUB = ["docker.io", "https://index.docker.io/v1/", "index.docker.io"];

/**
 * Who somebody is to a registry, out of a file or standard input: `NAME:PASSWORD`, or a file that
 * `docker login` or `podman login` wrote. The words of it are never repeated.
 * @param repository the registry's host, with or without a path
 * @throws OrchdError `invalid`
 */
export async function readLogin(io: Io, file: string, repository: string): Promise<RegistryLogin> {
  const text = await textOf(io, file);
  const login = text.startsWith("{") ? loginsIn(file, text)(repository) : loginIn(text);
  if (login !== undefined) return login;
  if (!text.startsWith("{")) throw noLogin(file, "write it like NAME:PASSWORD");
  throw new OrchdError("invalid", `the login in ${file} has nothing for ${repository}`);
}

/**
 * Who the site is to whatever registry will be asked, out of a file that `docker login` or `podman
 * login` wrote; undefined for a registry that it says nothing of.
 * @throws OrchdError `invalid`
 */
export async function readLogins(
  io: Io,
  file: string,
): Promise<(repository: string) => RegistryLogin | undefined> {
  return loginsIn(file, await textOf(io, file));
}

async function textOf(io: Io, file: string): Promise<string> {
  const bytes = await readContent(io, file);
  return Buffer.from(bytes).toString().trim();
}

function loginsIn(file: string, text: string): (repository: string) => RegistryLogin | undefined {
  const parsed = authsSchema.safeParse(jsonOf(text));
  if (!parsed.success) throw noLogin(file, "it has no `auths` that make sense");
  const { auths } = parsed.data;
  return (repository) => {
    const auth = namesOf(repository).flatMap((name) => auths[name]?.auth ?? [])[0];
    return loginIn(Buffer.from(auth ?? "", "base64").toString());
  };
}

function noLogin(file: string, why: string): OrchdError {
  return new OrchdError("invalid", `the login in ${file} is none: ${why}`);
}

/** As containers-auth.json(5) has it: the longest name that fits. */
function namesOf(repository: string): string[] {
  const parts = repository.split("/");
  const names = parts.map((_, i) => parts.slice(0, parts.length - i).join("/"));
  const [host = ""] = parts;
  return [...names, `https://${host}`, ...(host === DOCKER_HUB[0] ? DOCKER_HUB : [])];
}

function loginIn(text: string): RegistryLogin | undefined {
  const [, username, password] = /^([^:\s]+):(\S+)$/.exec(text) ?? [];
  return username === undefined || password === undefined ? undefined : { username, password };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // Its words may be a secret: that it makes no sense is all that is said.
    return undefined;
  }
}
