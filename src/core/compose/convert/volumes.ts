import { hasActions } from "../../../lib/go-template.ts";
import { joinPath } from "../../../lib/path.ts";
import { nearest } from "../../../lib/text.ts";
import type { Mount } from "../../../model/container.ts";
import type { VolumeBackup } from "../../../model/volume-backup.ts";
import { VOLUME_NAME } from "../../../model/volume.ts";
import { VOLUMES_MAX } from "../limits.ts";
import { quoted } from "../problem.ts";
import { withoutUndefined, type Cursor } from "./cursor.ts";
import { pairsOf } from "./pairs.ts";
import { isTemplated, withoutActions } from "./templates.ts";
import { volumeBackupOf } from "./volume-backup.ts";

/** A volume of the top-level `volumes`, as mounts of it need it. */
export interface VolumeDefinition {
  /** Its name in the runtime. */
  name: string;
  external: boolean;
  driver?: string;
  driverOptions: Record<string, string>;
  labels: Record<string, string>;
  /** Backups that its node makes by itself. */
  backup?: Omit<VolumeBackup, "volume">;
}

export interface Volumes {
  byKey: ReadonlyMap<string, VolumeDefinition>;
  /** Every key of the file, also of a volume that could not be used. */
  keys: ReadonlySet<string>;
}

const VOLUME_RULE =
  "is no name for a volume: use letters, digits, '_', '.' or '-', with a letter or digit first";

/** The volumes that a file defines; by default a volume is named after its stack and its key. */
export function volumesOf(top: Cursor | undefined, stack: string): Volumes {
  const byKey = new Map<string, VolumeDefinition>();
  const keys = new Set<string>();
  for (const [key, volume] of top?.entries() ?? []) {
    keys.add(key);
    const definition = definitionOf(key, volume, stack);
    if (definition !== undefined) byKey.set(key, definition);
  }
  if (byKey.size > VOLUMES_MAX) top?.error(`has more than ${VOLUMES_MAX} volumes`);
  return { byKey, keys };
}

function definitionOf(key: string, volume: Cursor, stack: string): VolumeDefinition | undefined {
  const external = externalOf(volume);
  const given = volume.get("name")?.text() ?? external.name;
  const name = given ?? (external.is ? key : `${stack}_${key}`);
  if (hasActions(name) && !isTemplated(name, volume)) return undefined;
  if (!VOLUME_NAME.test(withoutActions(name))) {
    volume.errorAtKey(`has the name ${quoted(name)}, which ${VOLUME_RULE}`);
    return undefined;
  }
  if (external.is) {
    for (const option of ["driver", "driver_opts", "labels"]) {
      volume.get(option)?.error("has no effect on an external volume; remove it");
    }
    const none = { driverOptions: {}, labels: {} };
    return withoutUndefined({ name, external: true, ...none, backup: volumeBackupOf(volume) });
  }
  if (hasActions(name)) {
    volume.warn("is named by a template: `orchd down --volumes` leaves what comes of it");
  }
  return withoutUndefined({
    name,
    external: false,
    driver: driverOf(volume.get("driver")),
    driverOptions: driverOptionsOf(volume),
    labels: pairsOf(volume.get("labels")),
    backup: volumeBackupOf(volume),
  });
}

/** The backups of what a service mounts. */
export function backupsOf(mounts: readonly Mount[], { byKey }: Volumes): VolumeBackup[] {
  const names = new Set(mounts.flatMap((mount) => (mount.type === "volume" ? [mount.volume] : [])));
  return [...byKey.values()].flatMap(({ name, backup }) =>
    backup === undefined || !names.has(name) ? [] : [{ volume: name, ...backup }],
  );
}

function driverOf(driver: Cursor | undefined): string | undefined {
  const parse = (text: string) => (/^[\w./:-]{1,255}$/.test(text) ? text : undefined);
  return driver?.parsed(parse, "must be the name of a volume driver");
}

function externalOf(volume: Cursor): { is: boolean; name?: string } {
  const external = volume.get("external");
  if (external === undefined) return { is: false };
  if (!external.isMap) return { is: external.flag() ?? false };
  const name = external.get("name")?.text();
  return name === undefined ? { is: true } : { is: true, name };
}

/** The driver's options; a relative path that is bound is relative to the file. */
function driverOptionsOf(volume: Cursor): Record<string, string> {
  const options = new Map<string, string>();
  for (const [key, value] of volume.get("driver_opts")?.entries() ?? []) {
    options.set(key, value.text() ?? "");
  }
  const device = options.get("device");
  const binds =
    options
      .get("o")
      ?.split(",")
      .some((option) => /^r?bind$/.test(option)) ?? false;
  if (binds && device !== undefined && /^\.{1,2}(\/|$)/.test(device)) {
    options.set("device", joinPath(volume.directory, device));
  }
  return Object.fromEntries(options);
}

/** The volume that a mount names; undefined, with a problem told, when there is none. */
export function volumeNamed(
  key: string,
  at: Cursor,
  volumes: Volumes,
): VolumeDefinition | undefined {
  const found = volumes.byKey.get(key);
  if (found !== undefined || volumes.keys.has(key) || at.findings.incomplete) return found;
  const guess = nearest(key, volumes.keys);
  const hint =
    guess === undefined ? "add it there, or begin a path with ./" : `did you mean ${guess}?`;
  return at.error(`names the volume ${quoted(key)}, which is not under volumes; ${hint}`);
}
