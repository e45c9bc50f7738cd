import { hasDevice } from "./device.ts";
import type { Node } from "./node.ts";
import { isGlobal, specOf, tieOf, type Service } from "./service.ts";
import { baseOfSlot } from "./slot-name.ts";
import type { View } from "./view.ts";

/** Whether a task of the service can be replaced by one on another node. */
export function canMove(service: Service): boolean {
  const spec = specOf(service);
  return !isGlobal(spec) && tieOf(spec) === undefined;
}

/**
 * The node that alone can hold the slot's tasks, while it is in the cluster: a global service's
 * own, or the one where a task ran that is tied to it. Undefined where any node will do, also after
 * its device was pulled out there.
 */
export function homeOf(
  view: Pick<View, "nodes">,
  service: Service,
  slot: string,
): Node | undefined {
  if (canMove(service)) return undefined;
  const base = baseOfSlot(slot);
  if (isGlobal(specOf(service))) {
    // A global service's slot is the id of its node.
    return view.nodes.get(base as Node["id"]);
  }
  const home = service.homes?.[base];
  const node = home === undefined ? undefined : view.nodes.get(home);
  return node === undefined || wasUnplugged(service, node) ? undefined : node;
}

/** Whether what ties the tasks is a device that is not there any more: then it may be elsewhere. */
function wasUnplugged(service: Service, node: Node): boolean {
  const spec = specOf(service);
  if (tieOf(spec) !== "device") return false;
  return spec.container.devices.some(({ source }) => !hasDevice(node, source));
}

/** `waits for node h2, which is down: its volume data is there` */
export function formatWait(service: Service, node: Node, state: string): string {
  const tie = tieOf(specOf(service));
  const why = tie === undefined ? "" : `: its ${tie} is there`;
  return `waits for node ${node.hostname}, which ${state}${why}`;
}
