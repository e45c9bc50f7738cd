import { Option } from "commander";
import type { Io } from "./io.ts";
import type { ServerOptions } from "./program.ts";
import { readLogins } from "./registry-login.ts";
import { usageError } from "./context.ts";

/** Options of `orchd server` for registries elsewhere. */
export interface UpstreamFlags {
  upstream?: string[];
  upstreamCredsFile?: string;
}

export function upstreamOptions(): Option[] {
  return [
    new Option(
      "--upstream <host>",
      "a registry through which the site gets what it does not keep, such as docker.io; * means " +
        "all; may be repeated",
    ).argParser(addHost),
    new Option(
      "--upstream-creds-file <file>",
      "logins for them, as docker login or podman login writes them",
    ),
  ];
}

export async function upstreamFrom(
  io: Io,
  { upstream: hosts, upstreamCredsFile: file }: UpstreamFlags,
): Promise<Pick<ServerOptions, "upstream">> {
  if (hosts === undefined && file === undefined) return {};
  if (hosts === undefined) throw usageError("--upstream-creds-file needs --upstream");
  const login = file === undefined ? () => undefined : await readLogins(io, file);
  return { upstream: { hosts, login } };
}

function addHost(host: string, before: string[] = []): string[] {
  return [...before, host];
}
