import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { $ } from "zx";
import { ROUTE_PROTOCOL, tunnelOf } from "../src/core/network/links.ts";
import { networkModeSchema } from "../src/model/network-map.ts";
import { isRoot } from "./machine.ts";
import { orchd, sayStep } from "./project.ts";
import { findStartedServer, orchdQuietly, serverAnswers } from "./server-process.ts";

/*
 * `npm run clean`: removes everything that `npm start` brought to this machine, except Debian's
 * packages. Only what carries orchd's labels and names is touched.
 */
const FOLDERS = ["/var/lib/orchd", "/run/orchd"];
const STOP_TIMEOUT_MS = 15_000;
const podman = $({ quiet: true, nothrow: true });
const PODMAN = ["podman", "--cgroup-manager=cgroupfs", "--events-backend=file"];

process.exitCode = await main();

async function main(): Promise<number> {
  if (!isRoot()) {
    console.error("What npm start made belongs to root: run this as root (sudo npm run clean).");
    return 1;
  }
  const server = findStartedServer();
  if (server === undefined && existsSync(orchd) && (await serverAnswers())) {
    console.error("A server runs here that npm start did not start: stop it first.");
    return 1;
  }
  if (server !== undefined) await removeStacksAndStop(server);
  await removeLeftovers();
  FOLDERS.forEach(removeFolder);
  console.log("\nRemoved: stacks, containers, volumes, network, image and data of orchd.");
  return 0;
}

function removeFolder(folder: string): void {
  if (!existsSync(folder)) return;
  unmountBelow(join(folder, "grants"));
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
  try {
    rmdirSync(folder);
  } catch {
    // A disk that is mounted here stays where it is, empty.
  }
}

/** Where /run is on a disk the files of secrets have a tmpfs of their own for each node. */
function unmountBelow(folder: string): void {
  const nodes = existsSync(folder) ? readdirSync(folder) : [];
  for (const node of nodes) spawnSync("umount", ["--quiet", join(folder, node)]);
}

async function removeStacksAndStop(pid: number): Promise<void> {
  sayStep("Stacks");
  const list = await orchdQuietly`${orchd} ls --json`;
  for (const stack of parseNames(list.stdout)) {
    await $({ stdio: "inherit", nothrow: true })`${orchd} down ${stack} --volumes`;
  }
  process.kill(pid, "SIGTERM");
  const deadline = Date.now() + STOP_TIMEOUT_MS;
  while (existsSync(`/proc/${pid}`) && Date.now() < deadline) await pause(50);
}

function parseNames(json: string): string[] {
  const stacks: unknown = JSON.parse(json === "" ? "[]" : json);
  if (!Array.isArray(stacks)) return [];
  return stacks.flatMap((stack: unknown) =>
    typeof stack === "object" && stack !== null && "name" in stack ? [String(stack.name)] : [],
  );
}

/** Without a server: what its labels and names tell in Podman itself, and its firewall table. */
async function removeLeftovers(): Promise<void> {
  sayStep("Containers, volumes, network, image");
  const ours = "label=orchd.node";
  const containers = words(await podman`${PODMAN} ps --all --quiet --filter ${ours}`);
  if (containers.length > 0) await podman`${PODMAN} rm --force --time 2 ${containers}`;
  const volumes = words(await podman`${PODMAN} volume ls --quiet --filter ${ours}`);
  if (volumes.length > 0) await podman`${PODMAN} volume rm --force ${volumes}`;
  await podman`${PODMAN} network rm --force orchd0`;
  await podman`${PODMAN} image rm --force localhost/orchd-hello:1`;
  await removeNetwork();
}

/** What carries packets: rules, routes, and devices. */
async function removeNetwork(): Promise<void> {
  for (const family of ["ip", "ip6"]) await podman`nft delete table ${family} orchd`;
  for (const table of ["main", "local"]) {
    await podman`ip route flush table ${table} proto ${ROUTE_PROTOCOL}`;
  }
  for (const mode of networkModeSchema.options) {
    const tunnel = tunnelOf(mode)?.name;
    if (tunnel !== undefined) await podman`ip link del dev ${tunnel}`;
  }
}

function words(output: { stdout: string }): string[] {
  return output.stdout.split(/\s+/).filter((word) => word !== "");
}
