import { readdirSync, statSync, type Stats } from "node:fs";
import { join } from "node:path";
import { OrchdError } from "../../lib/errors.ts";
import type { ContainerSpec } from "../../model/container.ts";

/** A device of the OCI's runtime specification, and what may be done with it. */
export interface OciDevice {
  path: string;
  type: "c" | "b";
  major: number;
  minor: number;
  fileMode: number;
  uid: number;
  gid: number;
  access: string;
}

/** What every container has of its own below /dev, or gets by a mount. */
const OWN = new Set(["console", "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random"]);
for (const name of ["shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero", "init"]) {
  OWN.add(name);
}

/**
 * The devices that a container gets: those it asks for, and all of the node's if it is privileged.
 * @throws OrchdError `runtime` for one that is not there
 */
export function devicesOf(spec: ContainerSpec): OciDevice[] {
  const asked = spec.devices.flatMap(({ source, target, permissions }) =>
    devicesAt(source, target || source, permissions || "rwm"),
  );
  if (!spec.privileged) return asked;
  const isAsked = new Set(asked.map(({ path }) => path));
  const all = readdirSync("/dev").filter((name) => !OWN.has(name));
  const found = all.flatMap((name) => below(`/dev/${name}`, `/dev/${name}`, "rwm"));
  return [...asked, ...found.filter(({ path }) => !isAsked.has(path))];
}

function devicesAt(source: string, target: string, access: string): OciDevice[] {
  const found = below(source, target, access);
  if (found.length > 0) return found;
  const stats = statSync(source, { throwIfNoEntry: false });
  const why = stats === undefined ? "does not exist on the node" : "is no device";
  throw new OrchdError("runtime", `the device ${source} ${why}`);
}

/** A device, or all that are in a directory. */
function below(source: string, target: string, access: string): OciDevice[] {
  const stats = statSync(source, { throwIfNoEntry: false });
  if (stats === undefined) return [];
  if (stats.isDirectory()) {
    const names = readdirSync(source);
    return names.flatMap((name) => below(join(source, name), join(target, name), access));
  }
  const type = stats.isCharacterDevice() ? "c" : stats.isBlockDevice() ? "b" : undefined;
  if (type === undefined) return [];
  const { uid, gid, mode } = stats;
  const fileMode = mode & 0o7777;
  return [{ path: target, type, ...numbersOf(stats), fileMode, uid, gid, access }];
}

/** As glibc's makedev(3) packs them. */
function numbersOf({ rdev }: Stats): { major: number; minor: number } {
  const number = BigInt(rdev);
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & ~0xfffn);
  const minor = (number & 0xffn) | ((number >> 12n) & ~0xffn & 0xffffff00n);
  return { major: Number(major), minor: Number(minor) };
}
