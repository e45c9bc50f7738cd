import { OrchdError } from "../../lib/errors.ts";
import type { ContainerSpec } from "../../model/container.ts";

/** The part of Podman's create body that says what a container may do to its node. */
export function securitySpecOf(spec: ContainerSpec): Record<string, unknown> {
  const flags: Record<string, unknown> = {};
  for (const option of spec.securityOptions) addSecurityOption(flags, option);
  return {
    ...flags,
    privileged: spec.privileged,
    read_only_filesystem: spec.readOnly,
    cap_add: spec.capAdd.length === 0 ? undefined : spec.capAdd,
    cap_drop: spec.capDrop.length === 0 ? undefined : spec.capDrop,
    pidns: { nsmode: spec.pidMode },
    ipcns: { nsmode: spec.ipcMode },
    utsns: { nsmode: spec.utsMode },
    // `auto` takes a free range of user ids; plain `private` would need a mapping given here.
    userns:
      spec.usernsMode === undefined
        ? undefined
        : { nsmode: spec.usernsMode === "private" ? "auto" : "host" },
    cgroupns: spec.cgroupMode === undefined ? undefined : { nsmode: spec.cgroupMode },
  };
}

/** One `security_opt` in Docker's spelling, `key:value` or `key=value`. */
function addSecurityOption(flags: Record<string, unknown>, option: string): void {
  const [, key = "", value = ""] = option.match(/^([^:=]+)(?:[:=](.*))?$/s) ?? [];
  switch (key) {
    case "no-new-privileges":
      flags["no_new_privileges"] = value !== "false";
      return;
    case "seccomp":
      flags["seccomp_profile_path"] = value;
      return;
    case "apparmor":
      flags["apparmor_profile"] = value;
      return;
    case "label":
      append(flags, "selinux_opts", [value]);
      return;
    case "mask":
      append(flags, "mask", value.split(":"));
      return;
    case "unmask":
      append(flags, "unmask", value.split(":"));
      return;
    case "systempaths":
      if (value === "unconfined") return append(flags, "unmask", ["ALL"]);
      break;
  }
  throw new OrchdError("invalid", `the security option "${option}" is unknown to Podman`);
}

function append(flags: Record<string, unknown>, key: string, values: string[]): void {
  const before = flags[key];
  flags[key] = Array.isArray(before) ? before.concat(values) : values;
}
