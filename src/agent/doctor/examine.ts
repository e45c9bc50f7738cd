import { X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { OrchdError } from "../../lib/errors.ts";
import { judgeMachine } from "../../core/doctor/judge.ts";
import type { MachineFacts } from "../../core/doctor/machine-facts.ts";
import { rangesOf } from "../../core/network/address6.ts";
import { mtuOf, tunnelOf } from "../../core/network/links.ts";
import { findConflict } from "../../core/network/routes.ts";
import type { Diagnosis, DoctorOptions } from "../../model/diagnosis.ts";
import { findFirewalls } from "../../net/foreign-firewall.ts";
import { findBridgeFilter, tryKernel } from "../../net/kernel-abilities.ts";
import { deviceMtu, readUnderlay } from "../../net/links.ts";
import { ownAddress } from "../../net/own-address.ts";
import { readProcesses, type FoundProcess } from "../../net/port-holders.ts";
import { ownRoutes } from "../../net/routes.ts";
import { hasWireguard } from "../../net/wireguard.ts";
import { measureDisks } from "../disk-care.ts";
import { HOST_CERTIFICATES, readKeptCertificates } from "../host-certificates.ts";
import { findClock, findPaths, findStrangers, whyNot } from "./cluster-facts.ts";
import { findOwnOrchd, hasAgent, type OwnOrchd } from "./own-orchd.ts";
import { findPorts } from "./port-facts.ts";

const PODMAN_STORAGE = "/var/lib/containers";
const PROGRAMS = ["podman", "nft", "ip", "bridge"];
const RUNTIMES = ["crun", "runc"];
/** Where a Raspberry Pi's firmware reads what the kernel is told, in newer and older systems. */
const BOOT_LINES = ["/boot/firmware/cmdline.txt", "/boot/cmdline.txt"];

type Probe<Check extends keyof MachineFacts> = () =>
  MachineFacts[Check] | Promise<MachineFacts[Check]>;

type Probes = { [Check in keyof MachineFacts]-?: Probe<Check> };

/**
 * Looks at everything of this machine that orchd needs, and judges it. Changes nothing.
 * @throws OrchdError `forbidden` to anybody but root
 */
export async function examineMachine(options: DoctorOptions): Promise<Diagnosis> {
  if (process.getuid?.() !== 0) {
    const message = "orchd doctor looks at what only root may see: run it as root, with sudo";
    throw new OrchdError("forbidden", message);
  }
  const processes = readProcesses();
  const own = findOwnOrchd(options.dataDir, processes);
  const facts: MachineFacts = {};
  const skipped: Diagnosis["skipped"] = [];
  const probes = probesOf(options, own, processes);
  await Promise.all(
    Object.entries(probes).map(async ([check, probe]) => {
      try {
        const found = await probe();
        if (found !== undefined) Object.assign(facts, { [check]: found });
      } catch (error) {
        skipped.push({ check, why: whyNot(error) });
      }
    }),
  );
  return { ...judgeMachine(facts), skipped };
}

/** Each answers undefined where there is nothing to look at. */
function probesOf(
  options: DoctorOptions,
  own: OwnOrchd,
  processes: readonly FoundProcess[],
): Probes {
  return {
    orchds: () => processes.filter(hasAgent).map(asRunning),
    programs: findPrograms,
    ports: () => findPorts(options, own, processes),
    forwarding: () => ({
      isOn: isOn("ipv4/ip_forward"),
      ...(own.range6 === undefined ? {} : { isIpv6On: isOn("ipv6/conf/all/forwarding") }),
      isOrchdRunning: own.isRunning,
    }),
    kernel: () => findKernel(own),
    wireguard: async () =>
      own.mode === "wireguard" ? { isThere: await hasWireguard() } : undefined,
    range: () => ({ range: own.range, conflict: findConflict(own.range, ownRoutes()) }),
    firewalls: async () =>
      (await Promise.all(rangesOf(own).map(findFirewalls))).flat().map(({ effect, remedy }) => ({
        what: effect,
        why: "services here do not answer by way of other nodes",
        remedy: `allow it with: ${remedy}`,
      })),
    mtu: () => findMtu(own),
    paths: async () =>
      own.others.length === 0 ? undefined : findPaths(own, (await underlayOf(own)).mtu),
    clock: async () => (own.servers.length === 0 ? undefined : findClock(own)),
    memory: findMemory,
    disks: () => measureDisks([options.dataDir, PODMAN_STORAGE]),
    certificates: () => findCertificates(options.dataDir),
    strangers: () => (own.ca === undefined ? undefined : findStrangers(own, options.serverPort)),
  };
}

function isOn(setting: string): boolean {
  return readFileSync(`/proc/sys/net/${setting}`, "utf8").trim() === "1";
}

/** Undefined where this node answers for no host. */
function findCertificates(dataDir: string): MachineFacts["certificates"] {
  const kept = readKeptCertificates(join(dataDir, HOST_CERTIFICATES));
  if (kept.length === 0) return undefined;
  return kept.map(({ host, isGiven, certificate }) => {
    const leftMs = Date.parse(new X509Certificate(certificate).validTo) - Date.now();
    return { host, isGiven, leftMs };
  });
}

function asRunning({ pid, words }: FoundProcess) {
  return { pid, command: `orchd ${words[1] ?? ""}` };
}

function findPrograms(): MachineFacts["programs"] {
  const missing = PROGRAMS.filter((name) => Bun.which(name) === null);
  const hasRuntime = RUNTIMES.some((name) => Bun.which(name) !== null);
  return { missing: hasRuntime ? missing : [...missing, RUNTIMES.join(" or ")] };
}

async function findKernel({ mode }: OwnOrchd): Promise<MachineFacts["kernel"]> {
  const [nftables, vxlan, bridgeFilter] = await Promise.all([
    tryKernel("nftables"),
    mode === "vxlan" ? tryKernel("vxlan") : undefined,
    findBridgeFilter(),
  ]);
  return {
    ...(nftables === undefined ? {} : { nftables }),
    ...(vxlan === undefined ? {} : { vxlan }),
    ...(bridgeFilter === undefined ? {} : { bridgeFilter }),
  };
}

function underlayOf({ self }: OwnOrchd) {
  return readUnderlay(self?.address ?? ownAddress());
}

async function findMtu(own: OwnOrchd): Promise<MachineFacts["mtu"]> {
  const { mode } = own;
  const { device, mtu } = await underlayOf(own);
  const name = tunnelOf(mode)?.name;
  const tunnelMtu = name === undefined ? undefined : await deviceMtu(name);
  const wanted = mtuOf(own, mtu);
  const found = { mode, underlay: { device, mtu }, wanted };
  if (name === undefined || tunnelMtu === undefined) return found;
  return { ...found, tunnel: { device: name, mtu: tunnelMtu } };
}

function findMemory(): MachineFacts["memory"] {
  const controllers = "/sys/fs/cgroup/cgroup.controllers";
  const isCounted = existsSync(controllers)
    ? readFileSync(controllers, "utf8").split(/\s+/).includes("memory")
    : /^memory\s.*\s1$/m.test(readFileSync("/proc/cgroups", "utf8"));
  return { isCounted, bootLine: BOOT_LINES.find((path) => existsSync(path)) };
}
