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
  const text = Buffer.from(await readContent(io, file))
    .toString()
    .trim();
  const refused = (why: string) => new OrchdError("invalid", `the login in ${file} ${why}`);
  if (!text.startsWith("{")) {
    const login = loginIn(text);
    if (login === undefined) throw refused("is none: write it like NAME:PASSWORD");
    return login;
  }
  const parsed = authsSchema.safeParse(jsonOf(text));
  if (!parsed.success) throw refused("is none: it has no `auths` that make sense");
  const auth = namesOf(repository).flatMap((name) => parsed.data.auths[name]?.auth ?? [])[0];
  const login = loginIn(Buffer.from(auth ?? "", "base64").toString());
  if (login === undefined) throw refused(`has nothing for ${repository}`);
  return login;
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
