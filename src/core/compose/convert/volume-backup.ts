import { isAbsolutePath, normalisePath } from "../../../lib/path.ts";
import { parseCron } from "../../../model/cron.ts";
import { timeZoneOf } from "../../../model/time-zone.ts";
import { VOLUME_BACKUPS_KEPT_MAX, type VolumeBackup } from "../../../model/volume-backup.ts";
import { withoutUndefined, type Cursor } from "./cursor.ts";

const KEPT = 7;

/** `x-orchd.backup` of a volume; undefined where it has none. */
export function volumeBackupOf(volume: Cursor): Omit<VolumeBackup, "volume"> | undefined {
  const given = volume.get("x-orchd")?.get("backup");
  const line = given?.get("schedule");
  const cron = line?.text();
  if (given === undefined || line === undefined || cron === undefined) return undefined;
  const parsed = parseCron(cron);
  if ("problem" in parsed) return line.error(parsed.problem);
  const [stop, freeze] = [given.get("stop"), given.get("freeze")];
  const isStopped = stop?.flag() ?? false;
  const isFrozen = freeze?.flag();
  if (isStopped && isFrozen === true) freeze?.error("does not go with stop: keep one of them");
  const timeZone = given
    .get("time_zone")
    ?.parsed(
      (name) => (timeZoneOf(name) === undefined ? undefined : name),
      "must be a time zone of the IANA database, such as Europe/Berlin",
    );
  const to = given
    .get("to")
    ?.parsed(
      (path) => (isAbsolutePath(path) ? normalisePath(path) : undefined),
      "must be an absolute path on the node",
    );
  const how: VolumeBackup["how"] = isStopped ? "stop" : isFrozen === false ? "live" : "freeze";
  return withoutUndefined({
    cron: cron.trim(),
    timeZone: timeZone ?? "UTC",
    keep: given.get("keep")?.integer(1, VOLUME_BACKUPS_KEPT_MAX) ?? KEPT,
    to,
    how,
  });
}
