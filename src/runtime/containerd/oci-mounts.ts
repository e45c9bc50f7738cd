import type { ContainerSpec, Mount } from "../../model/container.ts";

/** A mount of the OCI's runtime specification. */
export interface OciMount {
  destination: string;
  type: string;
  source: string;
  options: string[];
}

/** Where volumes and files of ours are. */
export interface MountSources {
  /** What a volume's mount becomes. */
  volume(mount: Extract<Mount, { type: "volume" }>): OciMount;
  /** Files that stand in a container's /etc, by name. */
  etc: ReadonlyMap<string, string>;
  /** An init for `init: true`. */
  init?: string;
}

const SHM_BYTES = 65_536_000;
export const INIT_PATH = "/dev/init";

/** All of a container's mounts, outer ones first. */
export function mountsOf(spec: ContainerSpec, sources: MountSources): OciMount[] {
  const asked = spec.mounts.map((mount) => ociMountOf(mount, sources));
  const isAsked = new Set(asked.map(({ destination }) => destination));
  const etc = [...sources.etc].map(([name, source]) =>
    bind(source, `/etc/${name}`, ["rprivate", spec.readOnly ? "ro" : "rw"]),
  );
  const init = sources.init === undefined ? [] : [bind(sources.init, INIT_PATH, ["ro"])];
  const own = [...baseOf(spec), ...etc].filter(({ destination }) => !isAsked.has(destination));
  return [...own, ...init, ...asked.toSorted((a, b) => depthOf(a) - depthOf(b))];
}

/** What the root of the container has to be so that mounts can reach it from outside. */
export function propagationOf(mounts: readonly OciMount[]): string | undefined {
  const all = new Set(mounts.flatMap(({ options }) => options));
  if (all.has("rshared") || all.has("shared")) return "rshared";
  return all.has("rslave") || all.has("slave") ? "rslave" : undefined;
}

export function bind(source: string, destination: string, options: string[]): OciMount {
  return { destination, type: "bind", source, options: ["rbind", ...options] };
}

function baseOf(spec: ContainerSpec): OciMount[] {
  const safe = ["nosuid", "noexec", "nodev"];
  const access = spec.privileged ? "rw" : "ro";
  const mount = (destination: string, type: string, options: string[], source = type) => {
    return { destination, type, source, options };
  };
  const size = `size=${spec.shmSizeBytes ?? SHM_BYTES}`;
  return [
    mount("/proc", "proc", safe),
    mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    mount("/sys", "sysfs", [...safe, access]),
    mount("/dev/pts", "devpts", [
      "nosuid",
      "noexec",
      "newinstance",
      "ptmxmode=0666",
      "mode=0620",
      "gid=5",
    ]),
    spec.ipcMode === "host"
      ? bind("/dev/shm", "/dev/shm", [])
      : mount("/dev/shm", "tmpfs", [...safe, "mode=1777", size], "shm"),
    // Its queues are those of the namespace for IPC, whichever that is.
    mount("/dev/mqueue", "mqueue", safe),
    mount("/sys/fs/cgroup", "cgroup", ["rprivate", ...safe, "relatime", access]),
  ];
}

function ociMountOf(mount: Mount, sources: MountSources): OciMount {
  if (mount.type === "volume") return sources.volume(mount);
  if (mount.type === "bind") {
    const { source, target, readOnly, propagation = "rprivate" } = mount;
    return bind(source, target, [propagation, readOnly ? "ro" : "rw"]);
  }
  const { target, sizeBytes, mode } = mount;
  const options = [
    "nosuid",
    "nodev",
    ...(sizeBytes === undefined ? [] : [`size=${sizeBytes}`]),
    ...(mode === undefined ? [] : [`mode=${mode.toString(8)}`]),
  ];
  return { destination: target, type: "tmpfs", source: "tmpfs", options };
}

function depthOf({ destination }: OciMount): number {
  return destination.split("/").filter((name) => name !== "").length;
}
