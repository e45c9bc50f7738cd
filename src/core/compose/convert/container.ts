import type { ContainerSpec } from "../../../model/container.ts";
import { hasActions } from "../../../lib/go-template.ts";
import { isAbsolutePath } from "../../../lib/path.ts";
import { ITEMS_MAX } from "../limits.ts";
import { quoted } from "../problem.ts";
import type { Loader } from "../read/loader.ts";
import { isHostName } from "./addresses.ts";
import { withoutUndefined, type Cursor } from "./cursor.ts";
import { grantsOf } from "./grants.ts";
import { platformOf, pullPolicyOf } from "./image.ts";
import type { Items } from "./items.ts";
import { mountsOf } from "./mounts.ts";
import { networkSpecOf, textsOf } from "./network.ts";
import { environmentOf, labelsOf, pairsOf } from "./pairs.ts";
import { rightsSpecOf } from "./rights.ts";
import { isTemplated, refuseTemplates } from "./templates.ts";
import type { Volumes } from "./volumes.ts";
import { splitWords } from "./words.ts";

const STOP_GRACE_MS = 10_000;
const OOM_SCORE_MAX = 1000;

export interface ContainerContext {
  image: string;
  volumes: Volumes;
  items: Items;
  loader: Loader;
}

/** What one container of a service is made of. */
export function containerSpecOf(service: Cursor, context: ContainerContext): ContainerSpec {
  const { image, volumes, items, loader } = context;
  const environment = environmentOf(service, loader);
  const mounts = mountsOf(service, volumes);
  refuseTemplates(service, { environment, mounts });
  return withoutUndefined({
    image,
    pullPolicy: pullPolicyOf(service),
    platform: platformOf(service),
    entrypoint: wordsOf(service.get("entrypoint")),
    command: wordsOf(service.get("command")),
    environment,
    labels: labelsOf(service, loader),
    annotations: pairsOf(service.get("annotations")),
    user: textOf(service.get("user"), 255),
    groupAdd: textsOf(service.get("group_add")),
    workingDir: workingDirOf(service.get("working_dir")),
    hostname: ownNameOf(service.get("hostname")),
    domainName: hostNameOf(service.get("domainname")),
    init: flagOf(service, "init"),
    tty: flagOf(service, "tty"),
    stdinOpen: flagOf(service, "stdin_open"),
    readOnly: flagOf(service, "read_only"),
    privileged: flagOf(service, "privileged"),
    ...rightsSpecOf(service),
    mounts,
    grants: grantsOf(service, items, mounts),
    shmSizeBytes: service.get("shm_size")?.bytes(),
    oomScoreAdjust: service.get("oom_score_adj")?.integer(-OOM_SCORE_MAX, OOM_SCORE_MAX),
    oomKillDisable: flagOf(service, "oom_kill_disable"),
    ...networkSpecOf(service),
    ...namespacesOf(service),
    stopSignal: signalOf(service.get("stop_signal")),
    stopGraceMs: service.get("stop_grace_period")?.durationMs() ?? STOP_GRACE_MS,
  });
}

function flagOf(service: Cursor, key: string): boolean {
  return service.get(key)?.flag() ?? false;
}

/** A command as words; text is split as a shell would, an empty list clears what the image says. */
function wordsOf(cursor: Cursor | undefined): string[] | undefined {
  if (cursor === undefined) return undefined;
  if (cursor.node.kind === "list") return textsOf(cursor);
  const words = cursor.parsed(splitWords, "has a quote or backslash that is left open");
  if (words === undefined || words.length <= ITEMS_MAX) return words;
  return cursor.error(`has more than ${ITEMS_MAX} words`);
}

function textOf(cursor: Cursor | undefined, lengthMax: number): string | undefined {
  const text = cursor?.text();
  if (text === undefined || text.length <= lengthMax) return text;
  return cursor?.error(`is longer than ${lengthMax} characters`);
}

function workingDirOf(cursor: Cursor | undefined): string | undefined {
  const parse = (text: string) => (isAbsolutePath(text) ? text : undefined);
  return cursor?.parsed(parse, "must be an absolute path");
}

/** A host name, or a template that becomes one on the node. */
function ownNameOf(cursor: Cursor | undefined): string | undefined {
  const text = cursor?.text();
  if (cursor === undefined || text === undefined || !hasActions(text)) return hostNameOf(cursor);
  return isTemplated(text, cursor) ? text : undefined;
}

function hostNameOf(cursor: Cursor | undefined): string | undefined {
  const parse = (text: string) => (isHostName(text) ? text : undefined);
  return cursor?.parsed(parse, "must be a host name");
}

/** `SIGTERM`, `term`, `SIGRTMIN+3`, `15`: which of them exist is for the node to say. */
function signalOf(cursor: Cursor | undefined): string | undefined {
  const valid = /^(?:\d{1,2}|(?:SIG)?[A-Z]{2,6}[0-9]?(?:[+-]\d{1,2})?)$/i;
  const parse = (text: string) => (valid.test(text) ? text.toUpperCase() : undefined);
  return cursor?.parsed(parse, "must be a signal, such as SIGTERM");
}

type Namespaces = Pick<ContainerSpec, "pidMode" | "ipcMode" | "utsMode"> & {
  usernsMode: ContainerSpec["usernsMode"];
  cgroupMode: ContainerSpec["cgroupMode"];
};

function namespacesOf(service: Cursor): Namespaces {
  const ipc = modeOf(service, "ipc", ["host", "private", "shareable"]);
  const cgroup = modeOf(service, "cgroup", ["host", "private"]);
  const userns = modeOf(service, "userns_mode", ["host"]);
  return {
    pidMode: modeOf(service, "pid", ["host"]) === "host" ? "host" : "private",
    ipcMode: ipc === "host" || ipc === "shareable" ? ipc : "private",
    utsMode: modeOf(service, "uts", ["host"]) === "host" ? "host" : "private",
    usernsMode: userns === "host" ? "host" : undefined,
    cgroupMode: cgroup === "host" || cgroup === "private" ? cgroup : undefined,
  };
}

/** One of `allowed`; what shares a namespace with another container can't be had. */
function modeOf(service: Cursor, key: string, allowed: readonly string[]): string | undefined {
  const cursor = service.get(key);
  const text = cursor?.text();
  if (cursor === undefined || text === undefined || text === "") return undefined;
  if (allowed.includes(text)) return text;
  if (/^(service|container):/.test(text)) {
    return cursor.refuse(`is ${quoted(text)}: tasks can't share a namespace in this version`);
  }
  return cursor.refuse(`is ${quoted(text)}; this version knows ${allowed.join(", ")}`);
}
