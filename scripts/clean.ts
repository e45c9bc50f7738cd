import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { $ } from "zx";
import { ROUTE_PROTOCOL, tunnelOf } from "../src/core/network/links.ts";
import { networkModeSchema } from "../src/model/network-map.ts";
import { nodesWithCgroups } from "../src/runtime/process/cgroups.ts";
import { cleanContainerd, cleanOwnContainerd } from "./clean/containerd.ts";
import { removeLabelled } from "./clean/labelled.ts";
import { cleanProcesses } from "./clean/processes.ts";
import { isRoot } from "./machine.ts";
import { orchd, sayStep } from "./project.ts";
import { findStartedServer, orchdQuietly, serverAnswers } from "./server-process.ts";

/*
 * `npm run clean`: removes everything that `npm start` brought to this machine, except Debian's
 * packages. Only what carries orchd's labels and names is touched.
 */
const RUN_DIR = "/run/orchd";
const FOLDERS = ["/var/lib/orchd", RUN_DIR];
const STOP_TIMEOUT_MS = 15_000;
const quiet = $({ quiet: true, nothrow: true });
const PODMAN = ["podman", "--cgroup-manager=cgroupfs", "--events-backend=file"];
const DOCKER = ["docker", "--host", "unix:///run/docker.sock"];
const CONTAINERD = "/run/containerd/containerd.sock";

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
  unmountBelow(RUN_DIR);
  FOLDERS.forEach(removeFolder);
  console.log("\nRemoved: stacks, containers, volumes, network, image and data of orchd.");
  return 0;
}

function removeFolder(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
  try {
    rmdirSync(folder);
  } catch {
    // A disk that is mounted here stays where it is, empty.
  }
}

/** File systems of containers, parts of volumes, and secrets where /run is on a disk. */
function unmountBelow(folder: string): void {
  const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n");
  const places = mounts.flatMap((line) => line.split(" ")[1] ?? []);
  for (const place of places.reverse()) {
    if (place.startsWith(`${folder}/`)) spawnSync("umount", ["--lazy", place]);
  }
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

/** Without a server: what labels and names tell in each runtime itself, and the packet filter. */
async function removeLeftovers(): Promise<void> {
  sayStep("Containers, processes, volumes, network, image");
  await removeLabelled(PODMAN, ["--force", "--time", "2"]);
  await quiet`${PODMAN} network rm --force orchd0`;
  await removeLabelled(DOCKER);
  await cleanContainerd(CONTAINERD);
  await cleanOwnContainerd(RUN_DIR);
  await cleanProcesses(nodesWithCgroups());
  await removeNetwork();
}

/** What carries packets: rules, routes, and devices. */
async function removeNetwork(): Promise<void> {
  for (const family of ["ip", "ip6"]) await quiet`nft delete table ${family} orchd`;
  for (const table of ["main", "local"]) {
    await quiet`ip route flush table ${table} proto ${ROUTE_PROTOCOL}`;
  }
  for (const mode of networkModeSchema.options) {
    const tunnel = tunnelOf(mode)?.name;
    if (tunnel !== undefined) await quiet`ip link del dev ${tunnel}`;
  }
  // Podman and Docker have removed theirs.
  const bridge = await quiet`ip -details link show dev orchd0`;
  if (/^ +alias orchd:/m.test(bridge.stdout)) await quiet`ip link del dev orchd0`;
}
