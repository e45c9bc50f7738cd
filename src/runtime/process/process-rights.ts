import * as fs from "node:fs";
import { OrchdError } from "../../lib/errors.ts";
import type { ContainerSpec, Ulimit } from "../../model/container.ts";
import { type Account, accountOf } from "../containerd/accounts.ts";
import { capabilitiesOf } from "../containerd/capabilities.ts";
import type { ProcessLimits } from "../podman/process-limits.ts";
import type { Rights } from "./start-script.ts";

/** Who a process is that says nothing of it: nobody has anything. */
const USER_DEFAULT = "nobody";
const NOBODY = 65_534;

/** What prlimit(1) has an option for, by the names that Compose has. */
const LIMITS = new Set(
  (
    "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime " +
    "sigpending stack"
  ).split(" "),
);

/** @throws OrchdError `runtime` for a user or group that the node does not know */
export function processAccount(user: string | undefined, groupAdd: readonly string[]): Account {
  const passwd = readEtc("passwd");
  const isKnown = new RegExp(`^${USER_DEFAULT}:`, "m").test(passwd);
  const nobody = isKnown ? USER_DEFAULT : `${NOBODY}:${NOBODY}`;
  const files = { passwd, group: readEtc("group"), where: "on the node" };
  return accountOf(user === undefined || user === "" ? nobody : user, groupAdd, files);
}

/**
 * The words of prlimit(1) and setpriv(1). No capability but those that are asked for, and nothing
 * that the program runs can get more than it has.
 * @param available capabilities that can be had on this machine
 * @throws OrchdError `invalid` for limits and capabilities that there are not
 */
export function rightsOf(
  { capAdd, capDrop, ulimits }: Pick<ContainerSpec, "capAdd" | "capDrop" | "ulimits">,
  account: Account,
  { available, limits }: { available: ReadonlySet<string>; limits: ProcessLimits },
): Rights {
  const { uid, gid, additionalGids } = account;
  const request = { privileged: false, capAdd, capDrop: ["ALL", ...capDrop] };
  const names = [...capabilitiesOf(request, available)].map((name) => name.toLowerCase());
  const set = ["-all", ...names.map((name) => `+${name.replace(/^cap_/, "")}`)].join(",");
  // Root has what it is not denied; everybody else what is handed on.
  const handedOn = uid === 0 ? "-all" : set;
  const groups = additionalGids.length === 0 ? ["--clear-groups"] : ["--groups"];
  return {
    limits: ulimits.map((ulimit) => limitWord(ulimit, limits)),
    privileges: [
      `--reuid=${uid}`,
      `--regid=${gid}`,
      ...groups,
      ...(additionalGids.length === 0 ? [] : [additionalGids.join(",")]),
      "--no-new-privs",
      `--bounding-set=${set}`,
      `--inh-caps=${handedOn}`,
      `--ambient-caps=${handedOn}`,
    ],
  };
}

/** What was asked for, within what can be had: above that nothing could be started. */
function limitWord({ name, soft, hard }: Ulimit, limits: ProcessLimits): string {
  const key = name.toLowerCase();
  if (!LIMITS.has(key)) throw new OrchdError("invalid", `there is no limit "${name}" (ulimits)`);
  const bound = limits.get(key.toUpperCase()) ?? Number.POSITIVE_INFINITY;
  const hardest = Math.min(valueOf(hard), bound);
  return `--${key}=${textOf(Math.min(valueOf(soft), hardest))}:${textOf(hardest)}`;
}

function valueOf(limit: number): number {
  return limit < 0 ? Number.POSITIVE_INFINITY : limit;
}

function textOf(limit: number): string {
  return Number.isFinite(limit) ? String(limit) : "unlimited";
}

function readEtc(name: string): string {
  try {
    return fs.readFileSync(`/etc/${name}`, "utf8");
  } catch {
    // Users are numbers then.
    return "";
  }
}
