import { join } from "node:path";
import { mkdirSync } from "node:fs";
import type { Mount } from "../../model/container.ts";
import type { KeptPlan } from "./process-files.ts";

type VolumeMount = Extract<Mount, { type: "volume" }>;
type Planned = KeptPlan["mounts"][number];

/**
 * A task's mounts as mount(8) takes them. The option `volume` marks those whose directory is given
 * to who mounts it first.
 * @param directory the task's own, for anonymous volumes
 * @param volumeOf where a named volume is
 */
export function plannedMounts(
  mounts: readonly Mount[],
  directory: string,
  volumeOf: (mount: VolumeMount) => Pick<Planned, "source"> & Partial<Planned>,
): Planned[] {
  return mounts.map((mount, index) => {
    const destination = mount.target;
    if (mount.type === "tmpfs") {
      const { sizeBytes, mode } = mount;
      const options = [
        "nosuid",
        "nodev",
        ...(sizeBytes === undefined ? [] : [`size=${sizeBytes}`]),
        ...(mode === undefined ? [] : [`mode=${mode.toString(8)}`]),
      ];
      return { source: "tmpfs", destination, type: "tmpfs", options };
    }
    const access = mount.readOnly ? ["ro"] : [];
    if (mount.type === "bind") {
      return { source: mount.source, destination, type: "bind", options: access };
    }
    if (mount.volume === "") {
      const source = join(directory, "volumes", String(index));
      return { source, destination, type: "bind", options: ["volume", ...access] };
    }
    const { source, type = "bind", options = [] } = volumeOf(mount);
    if (type !== "bind") return { source, destination, type, options };
    return { source, destination, type, options: ["volume", ...access] };
  });
}

/** Makes the directories of anonymous volumes, which lie in the task's own. */
export function makeAnonymous(mounts: readonly Planned[], directory: string): void {
  for (const { source } of mounts) {
    if (source.startsWith(`${directory}/volumes/`)) mkdirSync(source, { recursive: true });
  }
}
