import type { Stats } from "node:fs";
import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { compareText } from "../lib/order.ts";
import { isEverywhere, type NodeDevice } from "../model/device.ts";

/** What a machine has that tasks can be given. */
export interface FoundDevices {
  devices: NodeDevice[];
  /** Paths of all device nodes, but for those that each machine has. */
  deviceNodes: string[];
}

const DEVICES_MAX = 256;
const NODES_MAX = 1024;
const PATH_LENGTH_MAX = 255;
/** `/dev/bus/usb/001/002` */
const DEPTH_MAX = 4;
/** Below /dev: no devices, terminals of programs, this program's own files, or all once more. */
const SKIPPED = new Set("pts shm mqueue hugepages fd stdin stdout stderr char block".split(" "));

/** Devices by their names in /dev; of serial ports those that are plugged in or soldered on. */
const KINDS: readonly (Pick<NodeDevice, "kind" | "capabilities" | "exclusive"> & {
  name: RegExp;
})[] = [
  { kind: "serial", name: /^tty(?:USB|ACM|AMA)\d+$/, capabilities: [], exclusive: true },
  { kind: "gpio", name: /^gpiochip\d+$/, capabilities: [], exclusive: true },
  { kind: "i2c", name: /^i2c-\d+$/, capabilities: [], exclusive: false },
  { kind: "camera", name: /^video\d+$/, capabilities: ["video"], exclusive: true },
  { kind: "camera", name: /^media\d+$/, capabilities: ["media"], exclusive: true },
  { kind: "gpu", name: /^dri\/renderD\d+$/, capabilities: ["dri"], exclusive: false },
  {
    kind: "gpu",
    name: /^nvidia\d+$/,
    capabilities: ["nvidia", "compute", "utility", "video", "graphics"],
    exclusive: false,
  },
];

/** Links that name a device by what it is, rather than by the order in which it was found. */
const BY_ID = ["serial/by-id", "v4l/by-id"];

/**
 * Looks below /dev for what tasks can be given. What can't be read is not there.
 * @param root where the file system of the machine begins
 * @param isDevice whether a file is a device
 */
export async function findDevices(root: string, isDevice = isNode): Promise<FoundDevices> {
  const dev = join(root, "dev");
  const names = (await namesBelow(dev, "", 1, isDevice)).sort(compareText);
  const links = await linksById(dev);
  const devices = await Promise.all(names.map((name) => deviceOf(root, name, links)));
  const nodes = names.map((name) => `/dev/${name}`).filter((path) => !isEverywhere(path));
  return {
    devices: devices.filter((device) => device !== undefined).slice(0, DEVICES_MAX),
    deviceNodes: nodes.slice(0, NODES_MAX),
  };
}

function isNode(stats: Stats): boolean {
  return stats.isCharacterDevice() || stats.isBlockDevice();
}

/** Names below /dev that are devices, or links to some. */
async function namesBelow(
  dev: string,
  folder: string,
  depth: number,
  isDevice: (stats: Stats) => boolean,
): Promise<string[]> {
  if (depth > DEPTH_MAX) return [];
  const entries = await readdir(join(dev, folder)).catch(() => []);
  const found: string[] = [];
  for (const entry of entries) {
    if (folder === "" && SKIPPED.has(entry)) continue;
    const name = folder === "" ? entry : `${folder}/${entry}`;
    const stats = await stat(join(dev, name)).catch(() => undefined);
    if (stats === undefined || name.length > PATH_LENGTH_MAX - "/dev/".length) continue;
    if (stats.isDirectory()) found.push(...(await namesBelow(dev, name, depth + 1, isDevice)));
    else if (isDevice(stats)) found.push(name);
  }
  return found;
}

/** By the name that a link leads to: `ttyUSB0` to `serial/by-id/usb-FTDI_…`. */
async function linksById(dev: string): Promise<Map<string, string>> {
  const links = new Map<string, string>();
  const base = await realpath(dev).catch(() => dev);
  for (const folder of BY_ID) {
    for (const entry of (await readdir(join(dev, folder)).catch(() => [])).sort(compareText)) {
      const target = await realpath(join(dev, folder, entry)).catch(() => "");
      const name = target.slice(base.length + 1);
      if (target.startsWith(`${base}/`) && !links.has(name)) links.set(name, `${folder}/${entry}`);
    }
  }
  return links;
}

async function deviceOf(
  root: string,
  name: string,
  links: ReadonlyMap<string, string>,
): Promise<NodeDevice | undefined> {
  const found = KINDS.find((one) => one.name.test(name));
  if (found === undefined) return undefined;
  const { kind, capabilities, exclusive } = found;
  const link = links.get(name);
  const base = (link ?? name).split("/").at(-1) ?? name;
  const number = /^nvidia(\d+)$/.exec(name)?.[1];
  const aliases = [link === undefined ? undefined : `/dev/${link}`, number];
  const driver = name.startsWith("dri/") ? await driverOf(root, base) : undefined;
  return {
    id: base,
    kind,
    capabilities: driver === undefined ? capabilities : [...capabilities, driver],
    path: `/dev/${name}`,
    ...(aliases.some(Boolean) ? { aliases: aliases.filter((alias) => alias !== undefined) } : {}),
    exclusive,
  };
}

/** The kernel's driver of a graphics device: `i915`, `v3d`, `amdgpu`. */
async function driverOf(root: string, name: string): Promise<string | undefined> {
  const file = join(root, "sys/class/drm", name, "device/uevent");
  const text = await readFile(file, "utf8").catch(() => "");
  return /^DRIVER=([\w-]{1,64})$/m.exec(text)?.[1];
}
