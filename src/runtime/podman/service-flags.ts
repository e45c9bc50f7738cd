/** What the choice of flags for `podman system service` depends on. */
export interface Machine {
  /** systemd is the init process, so Podman may use its cgroups and it starts our like. */
  systemd: boolean;
  cgroups: "v2" | "hybrid" | "v1";
  /** OCI runtimes that were found, by name. */
  runtimes: readonly string[];
}

export type ServiceFlags = { ok: true; flags: string[] } | { ok: false; problem: string };

/**
 * The global flags under which Podman works on a machine. Events always go to Podman's own file,
 * which lies in memory: the journal would write each one to disk, and old ones get lost in it.
 */
export function planServiceFlags(machine: Machine): ServiceFlags {
  const flags = ["--events-backend", "file"];
  if (!machine.systemd) flags.push("--cgroup-manager", "cgroupfs");
  const runtime = chooseRuntime(machine);
  if (runtime === undefined) {
    return {
      ok: false,
      problem:
        "Podman finds no OCI runtime on this machine; install one (Debian: apt install runc)",
    };
  }
  if (runtime !== "default") flags.push("--runtime", runtime);
  return { ok: true, flags };
}

/** crun refuses the old cgroups next to the new ones, where runc is at home. */
function chooseRuntime(machine: Machine): string | undefined {
  const has = (name: string) => machine.runtimes.includes(name);
  if (machine.cgroups === "v2" && has("crun")) return "default";
  if (has("runc")) return "runc";
  return has("crun") ? "crun" : undefined;
}
