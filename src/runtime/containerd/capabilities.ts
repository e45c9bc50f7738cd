import { readFileSync } from "node:fs";
import { OrchdError } from "../../lib/errors.ts";

/** Capabilities by their numbers, include/uapi/linux/capability.h. */
const NAMES = (
  "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE " +
  "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO " +
  "SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME " +
  "SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG " +
  "WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split(" ");

/** What Podman gives (containers-common 0.50); Docker gives three more. */
const DEFAULTS = [
  "CHOWN",
  "DAC_OVERRIDE",
  "FOWNER",
  "FSETID",
  "KILL",
  "NET_BIND_SERVICE",
  "SETFCAP",
  "SETGID",
  "SETPCAP",
  "SETUID",
  "SYS_CHROOT",
];

export interface CapabilityRequest {
  privileged: boolean;
  capAdd: readonly string[];
  capDrop: readonly string[];
}

/**
 * The capabilities of a container, `CAP_KILL` …
 * @param available those that can be had on this machine
 * @throws OrchdError `invalid` for names that there are not
 */
export function capabilitiesOf(
  { privileged, capAdd, capDrop }: CapabilityRequest,
  available: ReadonlySet<string>,
): Set<string> {
  const added = capAdd.map(nameOf);
  const dropped = capDrop.map(nameOf);
  const wanted = new Set(privileged || added.includes("ALL") ? available : namesOf(DEFAULTS));
  if (dropped.includes("ALL")) wanted.clear();
  if (!added.includes("ALL")) for (const name of added) wanted.add(name);
  for (const name of dropped) wanted.delete(name);
  return new Set([...wanted].filter((name) => available.has(name) || added.includes(name)));
}

/** What is asked for by name, in addition to what every container has. */
export function addedCapabilities(capAdd: readonly string[], all: ReadonlySet<string>): string[] {
  const names = capAdd.map(nameOf);
  return names.includes("ALL") ? [...all] : names.filter((name) => all.has(name));
}

/** Those that this process could hand on, by `CapBnd` of its /proc/PID/status. */
export function parseBoundingSet(status: string): Set<string> {
  const bits = BigInt(`0x${status.match(/^CapBnd:\s*([0-9a-f]+)$/m)?.[1] ?? "0"}`);
  return new Set(namesOf(NAMES.filter((_, number) => (bits & (1n << BigInt(number))) !== 0n)));
}

export function readBoundingSet(): Set<string> {
  return parseBoundingSet(readFileSync("/proc/self/status", "utf8"));
}

function namesOf(short: readonly string[]): string[] {
  return short.map((name) => `CAP_${name}`);
}

function nameOf(text: string): string {
  const short = text.toUpperCase().replace(/^CAP_/, "");
  if (short === "ALL") return short;
  if (NAMES.includes(short)) return `CAP_${short}`;
  throw new OrchdError("invalid", `there is no capability "${text}"`);
}
