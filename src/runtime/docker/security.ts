import { readFileSync } from "node:fs";
import { OrchdError, systemCodeOf } from "../../lib/errors.ts";
import type { ContainerSpec } from "../../model/container.ts";

/** What Docker gives by itself and Podman does not: raw packets, device files, audit records. */
const DOCKER_ONLY = ["AUDIT_WRITE", "MKNOD", "NET_RAW"];

/** The part of Docker's create body that says what a container may do to its node. */
export function securityOf(spec: ContainerSpec): Record<string, unknown> {
  const added = new Set(spec.capAdd.map((name) => name.toUpperCase().replace(/^CAP_/, "")));
  const unwanted = DOCKER_ONLY.filter((name) => !added.has(name) && !added.has("ALL"));
  const options = spec.securityOptions.map(securityOptionOf);
  const isOpen = options.includes("systempaths=unconfined");
  return {
    Privileged: spec.privileged,
    ReadonlyRootfs: spec.readOnly,
    CapAdd: spec.capAdd,
    CapDrop: spec.privileged ? spec.capDrop : [...new Set([...spec.capDrop, ...unwanted])],
    SecurityOpt: options.filter((option) => option !== "systempaths=unconfined"),
    ...(isOpen ? { MaskedPaths: [], ReadonlyPaths: [] } : {}),
  };
}

/** One `security_opt`, `key:value` or `key=value`, as Docker's interface takes it. */
function securityOptionOf(option: string): string {
  const [, key = "", value = ""] = option.match(/^([^:=]+)(?:[:=](.*))?$/s) ?? [];
  switch (key) {
    case "no-new-privileges":
      return `no-new-privileges=${value !== "false"}`;
    case "seccomp":
      return `seccomp=${value === "unconfined" ? value : readProfile(value)}`;
    case "apparmor":
    case "label":
      return `${key}=${value}`;
    case "systempaths":
      if (value === "unconfined") return "systempaths=unconfined";
      break;
  }
  throw new OrchdError("invalid", `the security option "${option}" is unknown to Docker`);
}

/** Docker wants what the file holds, and not its name. */
function readProfile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const why = systemCodeOf(cause) === "ENOENT" ? "does not exist" : "can't be read";
    throw new OrchdError("invalid", `the seccomp profile ${path} ${why} on the node`, { cause });
  }
}
