import { existsSync, readdirSync, readFileSync } from "node:fs";
import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import { PodmanHttp } from "../podman/http.ts";

export const SYSTEM_SOCKET = "/run/docker.sock";

const versionSchema = z.object({
  Version: z.string(),
  ApiVersion: z.string(),
  Components: z.array(z.object({ Name: z.string() })).nullish(),
});

const infoSchema = z.object({ DockerRootDir: z.string() });

export interface OpenedDocker {
  http: PodmanHttp;
  version: string;
  /** Where it keeps images and containers. */
  rootDir: string;
}

/** Of Docker 20.10, the oldest that Debian 12 has. */
const API = { program: "Docker", base: "/v1.41", waitQuery: "?condition=not-running" } as const;
const API_MINOR = 41;
const ANSWER_MS = 15_000;

/**
 * Docker's interface on a socket, which is never orchd's own to start: who has Docker has it run.
 * @throws OrchdError `unreachable` when nothing answers, `runtime` for what can't be used
 */
export async function openDocker(socket?: string): Promise<OpenedDocker> {
  if (socket === undefined && !existsSync(SYSTEM_SOCKET)) {
    throw new OrchdError(
      "runtime",
      `Docker does not run on this machine: there is no ${SYSTEM_SOCKET} ` +
        "(start it with: systemctl start docker; Debian: apt install docker.io)",
    );
  }
  const path = socket ?? SYSTEM_SOCKET;
  const bare = new PodmanHttp(path, { ...API, base: "" });
  const found = await bare.json(versionSchema, "GET", "/version", { timeoutMs: ANSWER_MS });
  requireDocker(found, path);
  const http = new PodmanHttp(path, API);
  const { DockerRootDir } = await http.json(infoSchema, "GET", "/info");
  return { http, version: found.Version, rootDir: DockerRootDir };
}

function requireDocker(found: z.infer<typeof versionSchema>, path: string): void {
  if (found.Components?.some(({ Name }) => /podman/i.test(Name)) === true) {
    throw new OrchdError("runtime", `${path} is Podman's: use --runtime podman with its socket`);
  }
  const [major = 0, minor = 0] = found.ApiVersion.split(".").map(Number);
  if (major < 1 || (major === 1 && minor < API_MINOR)) {
    throw new OrchdError(
      "runtime",
      `Docker ${found.Version} is too old: orchd needs 20.10 or later`,
    );
  }
}

/** The process whose limits those of containers can't exceed, as far as it is known. */
export function findDockerPid(socket: string = SYSTEM_SOCKET): number | undefined {
  let any: number | undefined;
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const words = readFileSync(`/proc/${entry}/cmdline`, "utf8").split("\0");
      if (words[0]?.split("/").at(-1) !== "dockerd") continue;
      if (words.some((word) => word.endsWith(socket))) return Number(entry);
      any = Number(entry);
    } catch {
      // It has ended meanwhile.
    }
  }
  return any;
}
