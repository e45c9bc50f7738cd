import { equalJson } from "../../lib/order.ts";
import { defaultNetworkOf } from "../../model/attachment.ts";
import type { NodeId, ServiceId, TaskId } from "../../model/ids.ts";
import type { MovingMap } from "../../model/network-change.ts";
import type { MapNode, MapService, MapTask, NetworkMap } from "../../model/network-map.ts";
import type { TaskNews } from "./task-notice.ts";

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
  /** What other nodes said of their tasks themselves; counts before the map. */
  heard: ReadonlyMap<TaskId, HeardNews>;
}

/** What a node said last of one of its tasks. */
export interface HeardNews {
  nodeId: NodeId;
  version: number;
  news: TaskNews;
}

/** The map as it is true here and now. */
export function mergeMap(map: MovingMap, knowledge: Knowledge): NetworkMap {
  const { self, own, gone, heard } = knowledge;
  const merged = map.toMap();
  if (!map.nodes.has(self.id)) merged.nodes.push(self);
  merged.tasks = merged.tasks.flatMap((task) => {
    // One of ours that we don't have is over, or not yet there.
    if (task.nodeId === self.id) return own === undefined ? task : [];
    const told = withNews(task, heard.get(task.id));
    if (told === undefined) return [];
    return told.isReady && gone.has(told.nodeId) ? { ...told, isReady: false } : told;
  });
  merged.tasks.push(...unknownTasks(map, knowledge));
  const unknown = new Map<ServiceId, MapService>();
  for (const task of own ?? []) {
    const service = map.services.get(task.serviceId) ?? guessService(task);
    if (!map.services.has(service.id)) unknown.set(service.id, service);
    merged.tasks.push(ownMapTask(task, service, map.tasks.get(task.id), self.id));
  }
  merged.services.push(...unknown.values());
  return merged;
}

function withNews(task: MapTask, heard: HeardNews | undefined): MapTask | undefined {
  if (heard === undefined || heard.nodeId !== task.nodeId) return task;
  const { news } = heard;
  if (!("address" in news)) return undefined;
  const { address, isReady } = news;
  return address === task.address && isReady === task.isReady
    ? task
    : { ...task, address, isReady };
}

/** Tasks of which their nodes alone have told so far. */
function unknownTasks(map: MovingMap, { self, heard, gone }: Knowledge): MapTask[] {
  const found: MapTask[] = [];
  for (const [id, { nodeId, news }] of heard) {
    if (map.tasks.has(id) || nodeId === self.id || !("address" in news)) continue;
    if (!map.services.has(news.serviceId) || !map.nodes.has(nodeId)) continue;
    found.push({ ...news, nodeId, isReady: news.isReady && !gone.has(nodeId) });
  }
  return found;
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
