import { realpathSync } from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";
import type { Assignment } from "../model/assignment.ts";
import type { Mount } from "../model/container.ts";

/** Which directories of this machine tasks may be given. */
export interface BindRules {
  /** Below these, and these themselves; undefined: everything but orchd's own. */
  allowed: readonly string[] | undefined;
  /** What orchd keeps its keys and sockets in: for nobody, unless it is named expressly. */
  own: readonly string[];
  /** Below these plain processes may mount too, and nowhere else; absent where there are none. */
  processes?: readonly string[] | undefined;
  /** What said so, for messages: absent means `--allow-bind names`. */
  options?: string;
}

/** File systems of other machines, whose names begin as paths of this one do. */
const REMOTE_TYPES = new Set(["cifs", "smb3"]);

/** Processes see the machine's own files: they are given nothing that nobody named. */
export function bindsFor({ container }: Assignment, rules: BindRules): BindRules {
  if (container.runtime !== "process") return rules;
  const allowed = [...(rules.allowed ?? []), ...(rules.processes ?? [])];
  return { ...rules, allowed, options: "--allow-bind and --allow-process name" };
}

/**
 * The assignment with what it mounts of this machine, where these paths really lead. Links are
 * followed here, before anything is decided, so that a link in an allowed directory leads nowhere
 * else. The path that was found is the one that is mounted.
 * @throws OrchdError `forbidden` for a path that the node does not give
 */
export function withAllowedBinds(assignment: Assignment, rules: BindRules): Assignment {
  const mounts = assignment.container.mounts.map((mount) => allowedMount(mount, rules));
  const isSame = mounts.every((mount, i) => mount === assignment.container.mounts[i]);
  return isSame ? assignment : { ...assignment, container: { ...assignment.container, mounts } };
}

/** @throws OrchdError `forbidden` for a directory that the node gives to nobody */
export function requireAllowed(path: string, rules: BindRules): void {
  refuseForbidden(path, realPathOf(path), rules);
}

function allowedMount(mount: Mount, rules: BindRules): Mount {
  if (mount.type === "bind") {
    const source = realPathOf(mount.source);
    refuseForbidden(mount.source, source, rules);
    return rules.allowed === undefined ? mount : { ...mount, source };
  }
  if (mount.type !== "volume") return mount;
  const sources = machinePathsOf(mount.driverOptions);
  for (const path of sources) refuseForbidden(path, realPathOf(path), rules);
  const { device = "" } = mount.driverOptions;
  if (rules.allowed === undefined || !sources.includes(device)) return mount;
  return { ...mount, driverOptions: { ...mount.driverOptions, device: realPathOf(device) } };
}

/**
 * What the options of a volume mount of this machine, as mount(8) reads them: a directory that is
 * bound or laid over others, or what holds a file system, is a bind mount by another name.
 * @throws OrchdError `invalid` for a path that depends on where the runtime was started
 */
function machinePathsOf({ device = "", type = "", o = "" }: Readonly<Record<string, string>>) {
  const words = o.split(",").map((word) => word.trim());
  const isBind = type === "none" || words.some((word) => /^r?bind$/.test(word));
  const layers = words.flatMap((word) => {
    const [, paths] = /^(?:lowerdir|upperdir|workdir)\+?=(.*)$/.exec(word) ?? [];
    return paths?.split(":").filter((path) => path !== "") ?? [];
  });
  const isShare = REMOTE_TYPES.has(type);
  const isHere = isBind || (device.startsWith("/") && !isShare);
  const paths = [...(isHere && device !== "" ? [device] : []), ...layers];
  const relative = paths.find((path) => !path.startsWith("/"));
  if (relative === undefined) return paths;
  const message = `a volume's options name ${JSON.stringify(relative)}: use an absolute path`;
  throw new OrchdError("invalid", message);
}

function refuseForbidden(asked: string, real: string, rules: BindRules): void {
  const { allowed, own, options = "--allow-bind names" } = rules;
  const named = (allowed ?? []).map(realPathOf);
  const around = named.filter((path) => isWithin(real, path));
  const holder = own.map(realPathOf).find((path) => isWithin(real, path));
  const leads = real === normalize(asked) ? "" : `, which leads to ${real},`;
  if (holder !== undefined && !around.some((path) => isWithin(path, holder))) {
    const message = `${asked}${leads} is orchd's own on the node, and mounted nowhere`;
    throw new OrchdError("forbidden", message);
  }
  if (allowed === undefined || around.length > 0) return;
  const rule = allowed.length === 0 ? "none" : allowed.join(", ");
  const what = `${asked}${leads} may not be mounted on this node`;
  const message = `${what}: its ${options} ${rule}`;
  throw new OrchdError("forbidden", message);
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}

/** Where a path leads; of one that is not there yet, where it would be made. */
function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    const above = dirname(normalize(path));
    const isMissing = systemCodeOf(error) === "ENOENT" || systemCodeOf(error) === "ENOTDIR";
    if (!isMissing || above === normalize(path)) return normalize(path);
    return join(realPathOf(above), basename(normalize(path)));
  }
}
