import { OrchdError } from "../lib/errors.ts";
import type { Assignment } from "../model/assignment.ts";
import type { Device } from "../model/container.ts";
import { isAt, type NodeDevice } from "../model/device.ts";

/** What a program needs beside a card of NVIDIA's. */
const NVIDIA_COMPANIONS = ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"];

export interface MachineDevices {
  devices: readonly NodeDevice[];
  deviceNodes: readonly string[];
}

/**
 * The assignment with the devices that its task was given, at the paths that they have now and, for
 * those with a lasting name, under that name as well.
 * @throws OrchdError `runtime` when one of them is not on this machine any more
 */
export function withDevices(assignment: Assignment, machine: MachineDevices): Assignment {
  const { container, devices: ids = [] } = assignment;
  const more = new Map<string, Device>();
  for (const id of ids) {
    const device = machine.devices.find((one) => one.id === id);
    if (device === undefined) {
      throw new OrchdError("runtime", `the device ${id} is not on the node any more`);
    }
    if (container.devices.some(({ source }) => isAt(device, source))) continue;
    for (const target of targetsOf(device, machine)) {
      const source = target.startsWith("/dev/nvidia") ? target : device.path;
      more.set(target, { source, target, permissions: "rwm" });
    }
  }
  if (more.size === 0) return assignment;
  const devices = [...container.devices, ...more.values()];
  return { ...assignment, container: { ...container, devices } };
}

function targetsOf(device: NodeDevice, { deviceNodes }: MachineDevices): string[] {
  const links = (device.aliases ?? []).filter((alias) => alias.startsWith("/dev/"));
  const isNvidia = device.path.startsWith("/dev/nvidia");
  const companions = isNvidia ? NVIDIA_COMPANIONS.filter((one) => deviceNodes.includes(one)) : [];
  return [device.path, ...links, ...companions];
}
