import { isAbsolutePath, joinPath, normalisePath } from "../../../lib/path.ts";
import type { Mount } from "../../../model/container.ts";
import { MOUNTS_MAX } from "../limits.ts";
import { quoted } from "../problem.ts";
import { withoutUndefined, type Cursor } from "./cursor.ts";
import { pairsOf } from "./pairs.ts";
import { parseBytes, parseMode } from "./units.ts";
import { volumeNamed, type Volumes } from "./volumes.ts";

/** The propagation modes that a bind mount may have. */
const PROPAGATIONS = new Set(["shared", "slave", "private", "rshared", "rslave", "rprivate"]);
const PROPAGATION_RULE = `must be one of ${[...PROPAGATIONS].join(", ")}`;
/** On Linux both sides always see the same, so these change nothing. */
const CONSISTENCIES = new Set(["consistent", "cached", "delegated"]);

/** Everything that a service mounts: `volumes`, then `tmpfs`. */
export function mountsOf(service: Cursor, volumes: Volumes): Mount[] {
  const mounts: Mount[] = [];
  const targets = new Set<string>();
  const add = (mount: Mount | undefined, at: Cursor) => {
    if (mount === undefined) return;
    if (targets.has(mount.target)) {
      at.error(`mounts something at ${quoted(mount.target)} a second time`);
      return;
    }
    targets.add(mount.target);
    mounts.push(mount);
  };
  for (const item of service.get("volumes")?.items() ?? []) {
    add(item.isMap ? longMount(item, volumes) : shortMount(item, volumes), item);
  }
  for (const item of service.get("tmpfs")?.items() ?? []) add(tmpfsMount(item), item);
  if (mounts.length <= MOUNTS_MAX) return mounts;
  service.errorAtKey(`has more than ${MOUNTS_MAX} volumes`);
  return [];
}

function targetOf(text: string, at: Cursor): string | undefined {
  if (!isAbsolutePath(text)) {
    return at.error(`must be mounted at an absolute path, not ${quoted(text)}`);
  }
  const target = normalisePath(text);
  return target === "/" ? at.error("can't be mounted at /") : target;
}

/** `TARGET`, `SOURCE:TARGET` or `SOURCE:TARGET:OPTIONS`. */
function shortMount(item: Cursor, volumes: Volumes): Mount | undefined {
  const parts = (item.text() ?? "").split(":");
  if (parts.length > 3 || parts.includes("")) {
    return item.error(`must be SOURCE:TARGET or SOURCE:TARGET:ro, not ${quoted(parts.join(":"))}`);
  }
  const [source, written] = parts.length === 1 ? [undefined, parts[0]] : parts;
  const target = targetOf(written ?? "", item);
  if (target === undefined) return undefined;
  const options = mountOptions(parts[2], item);
  if (options === undefined) return undefined;
  const { readOnly, noCopy, propagation } = options;
  if (source !== undefined && /^[./~]/.test(source)) {
    const path = bindSource(source, item);
    if (path === undefined) return undefined;
    const mount = { source: path, target, readOnly, createSource: true, propagation };
    return withoutUndefined({ type: "bind" as const, ...mount });
  }
  return volumeMount({ key: source, target, readOnly, noCopy, labels: {} }, item, volumes);
}

interface MountOptions {
  readOnly: boolean;
  noCopy: boolean;
  propagation: string | undefined;
}

function mountOptions(text: string | undefined, item: Cursor): MountOptions | undefined {
  const options: MountOptions = { readOnly: false, noCopy: false, propagation: undefined };
  for (const option of text?.split(",") ?? []) {
    if (option === "ro") options.readOnly = true;
    else if (option === "nocopy" || option === "volume-nocopy") options.noCopy = true;
    else if (PROPAGATIONS.has(option)) options.propagation = option;
    else if (option === "z" || option === "Z") {
      item.warn(`has ${option}, which has no effect: orchd relabels nothing for SELinux`);
    } else if (CONSISTENCIES.has(option)) {
      item.warn(`has ${option}, which has no effect: on Linux both sides always see the same`);
    } else if (option !== "rw") {
      const known = `ro, rw, nocopy, ${[...PROPAGATIONS].join(", ")}`;
      return item.error(`has the option ${quoted(option)}; known are ${known}`);
    }
  }
  return options;
}

/** The absolute path of what is bound, as the node will look for it. */
function bindSource(source: string, at: Cursor): string | undefined {
  if (!source.startsWith("~")) return joinPath(at.directory, source);
  const home = at.lookup("HOME");
  if (!/^~(\/|$)/.test(source) || home === undefined || !isAbsolutePath(home)) {
    return at.error(`begins with ${quoted(source)}, which names no known home directory`);
  }
  return joinPath(home, `.${source.slice(1)}`);
}

interface VolumeMount {
  /** Absent for a volume without a name. */
  key: string | undefined;
  target: string;
  readOnly: boolean;
  noCopy: boolean;
  labels: Record<string, string>;
}

function volumeMount(
  mount: VolumeMount,
  at: Cursor,
  volumes: Volumes,
): Extract<Mount, { type: "volume" }> | undefined {
  const { key, labels, ...rest } = mount;
  if (key === undefined) {
    return { type: "volume", volume: "", ...rest, external: false, driverOptions: {}, labels };
  }
  const definition = volumeNamed(key, at, volumes);
  if (definition === undefined) return undefined;
  const { name, external, driverOptions, driver } = definition;
  return withoutUndefined({
    type: "volume" as const,
    volume: name,
    ...rest,
    external,
    driver,
    driverOptions,
    labels: { ...definition.labels, ...labels },
  });
}

const LATER_TYPES = new Set(["image", "cluster", "npipe"]);

function longMount(item: Cursor, volumes: Volumes): Mount | undefined {
  const type = item.get("type");
  const kind = type?.text() ?? "";
  if (type === undefined) return undefined;
  if (LATER_TYPES.has(kind)) {
    return type.refuse(`is ${kind}, which can't be mounted in this version`);
  }
  const written = item.get("target");
  if (written === undefined) {
    return item.has("target") ? undefined : item.error("needs a target");
  }
  const target = targetOf(written.text() ?? "", written);
  if (target === undefined) return undefined;
  for (const other of ["bind", "volume", "tmpfs"]) {
    if (other !== kind) item.get(other)?.error(`does not go with type: ${kind}`);
  }
  const readOnly = item.get("read_only")?.flag() ?? false;
  if (kind === "tmpfs") return longTmpfs(item, target, readOnly);
  return kind === "bind"
    ? longBind(item, target, readOnly)
    : longVolume(item, { target, readOnly }, volumes);
}

function longBind(item: Cursor, target: string, readOnly: boolean): Mount | undefined {
  const source = item.get("source");
  const path = source && bindSource(source.text() ?? "", source);
  if (source === undefined && !item.has("source")) item.error("needs a source");
  const bind = item.get("bind");
  const mode = bind?.get("propagation");
  const propagation = mode?.parsed((t) => (PROPAGATIONS.has(t) ? t : undefined), PROPAGATION_RULE);
  if (path === undefined) return undefined;
  const createSource = bind?.get("create_host_path")?.flag() ?? true;
  return withoutUndefined({
    type: "bind" as const,
    source: path,
    target,
    readOnly,
    createSource,
    propagation,
  });
}

function longVolume(
  item: Cursor,
  { target, readOnly }: { target: string; readOnly: boolean },
  volumes: Volumes,
): Mount | undefined {
  const options = item.get("volume");
  const noCopy = options?.get("nocopy")?.flag() ?? false;
  const labels = pairsOf(options?.get("labels"));
  const key = item.get("source")?.text();
  const written = options?.get("subpath");
  const subpath = written?.parsed(parseSubpath, SUBPATH_RULE);
  if (written !== undefined && subpath === undefined) return undefined;
  if (key === undefined && written !== undefined) {
    return written.error("goes with a source: a volume without a name is empty");
  }
  const mount = volumeMount({ key, target, readOnly, noCopy, labels }, item, volumes);
  return mount === undefined || subpath === undefined ? mount : { ...mount, subpath };
}

const SUBPATH_RULE = "must be a path in the volume, such as data/web, without . and ..";

function parseSubpath(text: string): string | undefined {
  const names = text.replace(/\/+$/, "").split("/");
  const isPlain = names.every((name) => name !== "" && name !== "." && name !== "..");
  return isPlain && !text.includes("\0") ? names.join("/") : undefined;
}

function longTmpfs(item: Cursor, target: string, readOnly: boolean): Mount {
  item.get("source")?.error("does not go with type: tmpfs");
  if (readOnly) item.get("read_only")?.error("does not go with type: tmpfs");
  const options = item.get("tmpfs");
  return withoutUndefined({
    type: "tmpfs" as const,
    target,
    sizeBytes: options?.get("size")?.bytes(),
    mode: options?.get("mode")?.parsed(parseMode, "must be a file mode, such as 1777"),
  });
}

/** `TARGET` or `TARGET:size=64m,mode=1777`. */
function tmpfsMount(item: Cursor): Mount | undefined {
  const [written = "", ...rest] = (item.text() ?? "").split(":");
  const target = targetOf(written, item);
  if (target === undefined) return undefined;
  let sizeBytes: number | undefined;
  let mode: number | undefined;
  for (const option of rest.join(":").split(",")) {
    const [key = "", value = ""] = option.split("=");
    if (key === "size") sizeBytes = parseBytes(value) ?? badOption(option, item);
    else if (key === "mode") mode = parseMode(value) ?? badOption(option, item);
    else if (key !== "" && key !== "rw") {
      item.warn(`has ${quoted(option)}, which has no effect; size and mode have`);
    }
  }
  return withoutUndefined({ type: "tmpfs" as const, target, sizeBytes, mode });
}

function badOption(option: string, item: Cursor): undefined {
  return item.error(`has ${quoted(option)}, which can't be read`);
}
