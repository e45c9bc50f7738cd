import { equalJson } from "../../lib/order.ts";
import { defaultNetworkOf } from "../../model/attachment.ts";
import type { NodeId, ServiceId } from "../../model/ids.ts";
import type { MovingMap } from "../../model/network-change.ts";
import type { MapNode, MapService, MapTask, NetworkMap } from "../../model/network-map.ts";

/** A task of this node that has an address, as the node itself knows it. */
export interface OwnTask extends Omit<MapTask, "nodeId" | "networks" | "ports" | "ingress"> {
  stack: string;
  service: string;
  /** What it publishes, by its own revision. */
  ports: MapService["ports"];
}

/** What a node knows better than whoever made the map. */
export interface Knowledge {
  self: MapNode;
  /** Undefined before the node has looked: then the map counts. */
  own: readonly OwnTask[] | undefined;
  /** Tasks of these nodes get no traffic, whatever the map says. */
  gone: ReadonlySet<NodeId>;
}

/** The map as it is true here and now. */
export function mergeMap(map: MovingMap, knowledge: Knowledge): NetworkMap {
  const { self, own, gone } = knowledge;
  const merged = map.toMap();
  if (!map.nodes.has(self.id)) merged.nodes.push(self);
  merged.tasks = merged.tasks.flatMap((task) => {
    // One of ours that we don't have is over, or not yet there.
    if (task.nodeId === self.id) return own === undefined ? task : [];
    return task.isReady && gone.has(task.nodeId) ? { ...task, isReady: false } : task;
  });
  const unknown = new Map<ServiceId, MapService>();
  for (const task of own ?? []) {
    const service = map.services.get(task.serviceId) ?? guessService(task);
    if (!map.services.has(service.id)) unknown.set(service.id, service);
    merged.tasks.push(ownMapTask(task, service, map.tasks.get(task.id), self.id));
  }
  merged.services.push(...unknown.values());
  return merged;
}

function ownMapTask(
  own: OwnTask,
  service: MapService,
  told: MapTask | undefined,
  nodeId: NodeId,
): MapTask {
  const { id, serviceId, slot, address, isReady, ports } = own;
  return {
    id,
    serviceId,
    slot,
    nodeId,
    address,
    isReady,
    ...(told?.networks === undefined ? {} : { networks: told.networks }),
    ...(told?.ingress === undefined ? {} : { ingress: told.ingress }),
    ...(equalJson(ports, service.ports) ? {} : { ports }),
  };
}

/** What is likeliest of a service that the map does not have yet, until it does. */
function guessService({ serviceId, stack, service, ports }: OwnTask): MapService {
  const networks = [{ network: defaultNetworkOf(stack), aliases: [], internal: false }];
  return { id: serviceId, stack, name: service, networks, ports };
}
