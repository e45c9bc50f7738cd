import { z } from "zod";

/** Something of a machine that tasks can be given, as its agent found it. */
export const nodeDeviceSchema = z.object({
  /** The same after a restart, and unique on the node: `usb-FTDI_A50285BI-if00-port0`. */
  id: z.string().min(1).max(255),
  kind: z.enum(["serial", "gpio", "i2c", "camera", "gpu"]),
  /** What it can do, in the words of `deploy.resources.reservations.devices`. */
  capabilities: z.array(z.string().max(64)).max(16),
  /** `/dev/ttyUSB0`: it may be another one after a restart. */
  path: z.string().max(255),
  /** Other names that people know it by: links such as `/dev/serial/by-id/…`, or its number. */
  aliases: z.array(z.string().max(255)).max(8).optional(),
  /** Whether one task at a time can use it. */
  exclusive: z.boolean(),
});
export type NodeDevice = z.infer<typeof nodeDeviceSchema>;

/** Devices that a task needs, whichever they are. */
export const deviceRequestSchema = z.object({
  /** What the devices work with: their kind, or one of their capabilities. */
  driver: z.string().max(64).optional(),
  /** Each device has all of one of these sets. */
  capabilities: z.array(z.array(z.string().max(64)).max(16)).max(8),
  count: z.union([z.int().min(1).max(256), z.literal("all")]),
  /** These devices, by id, path or alias; `count` says nothing then. */
  ids: z.array(z.string().max(255)).max(64).optional(),
});
export type DeviceRequest = z.infer<typeof deviceRequestSchema>;

/** Whether the device is what a person means by `name`. */
export function isCalled(device: NodeDevice, name: string): boolean {
  return device.id === name || device.path === name || device.aliases?.includes(name) === true;
}

/** Whether `path`, a device or a directory of devices, is or holds this one. */
export function isAt(device: NodeDevice, path: string): boolean {
  const isBelow = (own: string) => own === path || own.startsWith(`${path}/`);
  return isBelow(device.path) || device.aliases?.some(isBelow) === true;
}

/** Whether the device can do what the request asks. */
export function canDo(device: NodeDevice, { driver, capabilities }: DeviceRequest): boolean {
  const has = (word: string) => device.kind === word || device.capabilities.includes(word);
  if (driver !== undefined && !has(driver)) return false;
  return capabilities.length === 0 || capabilities.some((set) => set.every(has));
}

/** Devices that each machine has, and that no agent tells of. */
const EVERYWHERE =
  /^\/dev\/(?:(?:tty|loop|ram|vcs|vcsa|vcsu)\d*|null|zero|full|u?random|ptmx|console|mem|port)$/;

export function isEverywhere(path: string): boolean {
  return EVERYWHERE.test(path);
}

/** Whether something is at `path`; so it is taken to be where an agent does not tell of devices. */
export function hasDevice(
  node: {
    devices?: readonly NodeDevice[] | undefined;
    deviceNodes?: readonly string[] | undefined;
  },
  path: string,
): boolean {
  if (node.deviceNodes === undefined || isEverywhere(path)) return true;
  if (node.devices?.some((device) => isAt(device, path)) === true) return true;
  return node.deviceNodes.some((own) => own === path || own.startsWith(`${path}/`));
}
