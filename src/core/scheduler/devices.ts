import { compareText } from "../../lib/order.ts";
import { plural } from "../../lib/text.ts";
import {
  canDo,
  hasDevice,
  isAt,
  isCalled,
  type DeviceRequest,
  type NodeDevice,
} from "../../model/device.ts";
import type { Node } from "../../model/node.ts";
import type { ServiceSpec } from "../../model/service.ts";
import type { NodeLoad } from "./load.ts";

/** The devices that a task would get, or why it can't have them, in words after the node's name. */
export type Gift = { ids: string[] } | { reason: string };

type DeviceLoad = Pick<NodeLoad, "devices">;

/**
 * Which devices of the node a task of this spec gets: those that it names by path, then those that
 * it asks for by id, then any that can do what is asked, the least used first. A device that is
 * exclusive goes to one task.
 */
export function giveDevices(spec: ServiceSpec, node: Node, load: DeviceLoad): Gift {
  const given = new Set<string>();
  for (const { source } of spec.container.devices) {
    const reason = takePath(source, node, load, given);
    if (reason !== undefined) return { reason };
  }
  const requests = spec.resources.reservations.devices ?? [];
  // Who wants a certain one comes before who takes any.
  const inTurn = [
    ...requests.filter(({ ids }) => ids !== undefined),
    ...requests.filter(({ ids }) => ids === undefined),
  ];
  for (const request of inTurn) {
    const reason = takeRequested(request, node.devices ?? [], load, given);
    if (reason !== undefined) return { reason };
  }
  return { ids: [...given].sort(compareText) };
}

/** Takes what is found at a path; what the agent does not tell of can't be checked. */
function takePath(
  path: string,
  node: Node,
  load: DeviceLoad,
  given: Set<string>,
): string | undefined {
  const found = (node.devices ?? []).filter((device) => isAt(device, path));
  for (const device of found) {
    if (isTaken(device, load, given) && !given.has(device.id)) return inUse(path);
    given.add(device.id);
  }
  return hasDevice(node, path) ? undefined : `has no device ${path}`;
}

function takeRequested(
  request: DeviceRequest,
  devices: readonly NodeDevice[],
  load: DeviceLoad,
  given: Set<string>,
): string | undefined {
  const isFree = (device: NodeDevice) => !given.has(device.id) && !isTaken(device, load, given);
  for (const id of request.ids ?? []) {
    const device = devices.find((one) => isCalled(one, id));
    if (device === undefined) return `has no device ${id}`;
    if (!canDo(device, request)) return `has ${id}, which is no ${formatRequest(request)}`;
    if (!isFree(device)) return inUse(id);
    given.add(device.id);
  }
  if (request.ids !== undefined) return undefined;
  const able = devices.filter((device) => canDo(device, request));
  const free = able.filter(isFree);
  const count = request.count === "all" ? able.length : request.count;
  if (able.length < count || able.length === 0) {
    if (able.length === 0) return `has no ${formatRequest(request)}`;
    return `has ${plural(able.length, formatRequest(request))} instead of ${count}`;
  }
  if (free.length < count) {
    const all = plural(able.length, formatRequest(request));
    return `has ${free.length} of ${all} free, not ${count}`;
  }
  const uses = (device: NodeDevice) => load.devices.get(device.id) ?? 0;
  const inOrder = free.toSorted((a, b) => uses(a) - uses(b) || compareText(a.id, b.id));
  for (const device of inOrder.slice(0, count)) given.add(device.id);
  return undefined;
}

/** Whether a device that only one task can use has one, this one included. */
function isTaken(device: NodeDevice, load: DeviceLoad, given: ReadonlySet<string>): boolean {
  return device.exclusive && (load.devices.has(device.id) || given.has(device.id));
}

function inUse(name: string): string {
  return `has ${name} in use by another task`;
}

/** `nvidia gpu device` */
function formatRequest({ driver, capabilities }: DeviceRequest): string {
  const words = new Set([...(driver === undefined ? [] : [driver]), ...(capabilities[0] ?? [])]);
  return [...words, "device"].join(" ");
}
