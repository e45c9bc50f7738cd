import { isAbsolutePath, normalisePath } from "../../../lib/path.ts";
import { nearest } from "../../../lib/text.ts";
import type { ContainerSpec, Device, Ulimit } from "../../../model/container.ts";
import { MOUNTS_MAX } from "../limits.ts";
import { quoted } from "../problem.ts";
import type { Cursor } from "./cursor.ts";
import { pairsOf } from "./pairs.ts";

type RightsSpec = Pick<
  ContainerSpec,
  "capAdd" | "capDrop" | "securityOptions" | "devices" | "sysctls" | "ulimits"
>;

/** What a container may do to its node, and how much of the kernel's own resources it may take. */
export function rightsSpecOf(service: Cursor): RightsSpec {
  return {
    capAdd: capabilitiesOf(service.get("cap_add")),
    capDrop: capabilitiesOf(service.get("cap_drop")),
    securityOptions: (service.get("security_opt")?.items() ?? []).flatMap(securityOption),
    devices: devicesOf(service.get("devices")),
    sysctls: pairsOf(service.get("sysctls")),
    ulimits: ulimitsOf(service.get("ulimits")),
  };
}

/** capabilities(7), without `CAP_`. */
const CAPABILITIES = new Set(
  (
    "ALL AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN " +
    "DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE " +
    "MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON " +
    "SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE " +
    "SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM"
  ).split(" "),
);

function capabilitiesOf(cursor: Cursor | undefined): string[] {
  return (cursor?.items() ?? []).flatMap((item) => {
    const text = item.text() ?? "";
    const name = text.toUpperCase().replace(/^CAP_/, "");
    if (CAPABILITIES.has(name)) return [name];
    const guess = nearest(name, CAPABILITIES);
    const hint = guess === undefined ? "" : `; did you mean ${guess}?`;
    item.error(`is ${quoted(text)}, which is no capability${hint}`);
    return [];
  });
}

const SECURITY_OPTIONS: Record<string, RegExp> = {
  "no-new-privileges": /^(?:true|false|)$/,
  label: /^(?:disable|nested|(?:user|role|type|level|filetype):.+)$/,
  seccomp: /^(?:unconfined|\/.+)$/,
  apparmor: /^.+$/,
  mask: /^\/.+$/,
  unmask: /^(?:ALL|\/.+)$/,
  systempaths: /^unconfined$/,
};

function securityOption(item: Cursor): string[] {
  const text = item.text() ?? "";
  const [, key = "", value = ""] = /^([^:=]+)(?:[:=](.*))?$/s.exec(text) ?? [];
  const rule = Object.hasOwn(SECURITY_OPTIONS, key) ? SECURITY_OPTIONS[key] : undefined;
  if (rule?.test(value) === true) return [text];
  if (key === "seccomp") {
    item.refuse("names a seccomp profile of this machine; give its absolute path on the node");
    return [];
  }
  const known = Object.keys(SECURITY_OPTIONS).join(", ");
  if (rule === undefined) item.error(`is ${quoted(text)}; known are ${known}`);
  else item.error(`is ${quoted(text)}, which is no value for ${key}`);
  return [];
}

function devicesOf(list: Cursor | undefined): Device[] {
  const items = list?.items() ?? [];
  if (items.length > MOUNTS_MAX) list?.error(`has more than ${MOUNTS_MAX} devices`);
  return items.flatMap((item) => (item.isMap ? longDevice(item) : shortDevice(item)));
}

/** `SOURCE[:TARGET][:PERMISSIONS]` */
function shortDevice(item: Cursor): Device[] {
  const text = item.text() ?? "";
  const [source = "", second, third] = text.split(":");
  if (!isAbsolutePath(source) && /^[^/]+\/[^/=]+=/.test(text)) {
    item.refuse(`is ${quoted(text)}, a CDI name; name the device's path on the node instead`);
    return [];
  }
  const isMode = third === undefined && second !== undefined && !isAbsolutePath(second);
  const target = isMode || second === undefined ? source : second;
  return device({ source, target, permissions: third ?? (isMode ? second : "rwm") }, item);
}

function longDevice(item: Cursor): Device[] {
  const source = item.get("source")?.text();
  if (source === undefined) return [];
  const target = item.get("target")?.text() ?? source;
  return device({ source, target, permissions: item.get("permissions")?.text() ?? "rwm" }, item);
}

function device({ source, target, permissions }: Device, item: Cursor): Device[] {
  if (!isAbsolutePath(source) || !isAbsolutePath(target)) {
    item.error(`must be absolute paths, such as /dev/ttyUSB0:/dev/ttyUSB0:rwm`);
    return [];
  }
  if (!/^[rwm]{1,3}$/.test(permissions) || new Set(permissions).size < permissions.length) {
    item.error(`has the permissions ${quoted(permissions)}; use r, w and m`);
    return [];
  }
  return [{ source: normalisePath(source), target: normalisePath(target), permissions }];
}

/** setrlimit(2), in lower case and without `RLIMIT_`. */
const ULIMITS = new Set(
  (
    "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime " +
    "sigpending stack"
  ).split(" "),
);

function ulimitsOf(cursor: Cursor | undefined): Ulimit[] {
  return (cursor?.entries() ?? []).flatMap(([name, value]): Ulimit[] => {
    if (!ULIMITS.has(name)) {
      const guess = nearest(name, ULIMITS);
      value.error(`is no ulimit${guess === undefined ? "" : `; did you mean ${guess}?`}`);
      return [];
    }
    const soft = (value.isMap ? value.get("soft") : value)?.integer(-1);
    const hard = (value.isMap ? value.get("hard") : value)?.integer(-1);
    if (soft === undefined || hard === undefined) return [];
    if (hard !== -1 && (soft === -1 || soft > hard)) {
      value.error(`has a soft limit of ${soft}, which is above its hard limit of ${hard}`);
      return [];
    }
    return [{ name, soft, hard }];
  });
}
