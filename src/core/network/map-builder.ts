import { equalJson } from "../../lib/order.ts";
import type { Applied } from "../../model/change.ts";
import type { Cluster } from "../../model/cluster.ts";
import type { NodeId, ServiceId, TaskId } from "../../model/ids.ts";
import { MovingMap, type NetworkChange, type NetworkSource } from "../../model/network-change.ts";
import { keyOfRule } from "../../model/ingress-rule.ts";
import { mapNodeSchema } from "../../model/network-map.ts";
import type { MapNode, MapService, MapTask, NetworkMap } from "../../model/network-map.ts";
import type { Node } from "../../model/node.ts";
import { isOfTemplate, specAt, sameTemplate, specOf } from "../../model/service.ts";
import type { Service, ServiceSpec } from "../../model/service.ts";
import { attachmentsOf, wantsVirtualIp } from "../../model/service-network.ts";
import { isReady, isTerminal, type Task } from "../../model/task.ts";
import { isWithin, parseSubnet } from "./address.ts";
import { InternalNetworks } from "./internal-networks.ts";

/** Changes that are remembered: who knows an older map than that gets the whole one. */
const LOG_MAX = 16_384;

type Logged =
  | { generation: number; kind: "node"; id: NodeId }
  | { generation: number; kind: "service"; id: ServiceId }
  | { generation: number; kind: "task"; id: TaskId };

/**
 * The map of the cluster's network, moved forward by what was written to the store. A change costs
 * as much as there is of it, and what it comes to is made once for all who ask.
 */
export class MapBuilder implements NetworkSource {
  readonly #map: MovingMap;
  readonly #nodes = new Map<NodeId, Node>();
  readonly #services = new Map<ServiceId, Service>();
  readonly #tasks = new Map<TaskId, Task>();
  readonly #tasksOf = new Map<NodeId | ServiceId, Set<TaskId>>();
  readonly #internal = new InternalNetworks();
  /** The oldest first. */
  readonly #log: Logged[] = [];
  /** What came before this generation is not in the log. */
  #floor = 0;
  readonly #answers = new Map<number | undefined, NetworkChange>();

  constructor(of: Pick<NetworkMap, "mode" | "range" | "range6">) {
    this.#map = new MovingMap(of);
  }

  get generation(): number {
    return this.#map.generation;
  }

  /**
   * Takes what one commit wrote.
   * @param version of the commit: the generation of the map, if it is another one then
   */
  take(applied: readonly Applied[], version: number): void {
    for (const one of applied) {
      if (one.kind === "node") this.#takeNode(one.before, one.after, version);
      else if (one.kind === "service") this.#takeService(one.before, one.after, version);
      else if (one.kind === "task") this.#takeTask(one.before, one.after, version);
      else if (one.kind === "cluster" && one.after !== undefined) {
        this.#setCluster(one.after, version);
      }
    }
    if (this.#log.length > LOG_MAX) this.#forget(this.#log.length - LOG_MAX / 2);
  }

  since(base: number | undefined): NetworkChange {
    const isKnown = base !== undefined && base >= this.#floor && base <= this.generation;
    const from = isKnown ? base : undefined;
    const answer = this.#answers.get(from) ?? this.#changeSince(from);
    this.#answers.set(from, answer);
    return answer;
  }

  #changeSince(base: number | undefined): NetworkChange {
    const map = this.#map.toMap();
    const removed: NetworkChange["removed"] = { nodes: [], services: [], tasks: [] };
    if (base === undefined) return { ...map, removed };
    const { nodes, services, tasks } = this.#map;
    const change: NetworkChange = { ...map, base, nodes: [], services: [], tasks: [], removed };
    const seen = new Set<string>();
    for (let i = this.#log.length - 1; i >= 0; i--) {
      const one = this.#log[i];
      if (one === undefined || one.generation <= base) break;
      if (seen.has(one.id)) continue;
      seen.add(one.id);
      if (one.kind === "node") sort(one.id, nodes.get(one.id), change.nodes, removed.nodes);
      else if (one.kind === "task") sort(one.id, tasks.get(one.id), change.tasks, removed.tasks);
      else sort(one.id, services.get(one.id), change.services, removed.services);
    }
    return change;
  }

  /** The way between nodes is nobody's own: whoever knows the map gets a whole one. */
  #setCluster({ networkMode: mode, range, range6 }: Cluster, version: number): void {
    const is = this.#map;
    if (mode === is.mode && range === is.range && range6 === is.range6) return;
    is.mode = mode;
    is.range = range;
    is.range6 = range6;
    this.#moveTo(version);
    this.#log.length = 0;
    this.#floor = version;
  }

  #takeNode(before: Node | undefined, after: Node | undefined, version: number): void {
    const id = (after ?? before)?.id;
    if (id === undefined) return;
    if (after === undefined) this.#nodes.delete(id);
    else this.#nodes.set(id, after);
    const made = after === undefined ? undefined : mapNodeOf(after);
    if (replace(this.#map.nodes, id, made)) this.#note({ generation: version, kind: "node", id });
    const isHeard = (node: Node | undefined) => node !== undefined && node.health !== "down";
    if (isHeard(before) === isHeard(after) && before?.subnet === after?.subnet) return;
    for (const taskId of this.#tasksOf.get(id) ?? []) this.#remakeTask(taskId, version);
  }

  #takeService(before: Service | undefined, after: Service | undefined, version: number): void {
    const id = (after ?? before)?.id;
    if (id === undefined) return;
    if (after === undefined) this.#services.delete(id);
    else this.#services.set(id, after);
    const networks = after === undefined ? [] : attachmentsOf(after.stack, specOf(after));
    const touched = this.#internal.set(id, networks);
    for (const other of touched) this.#remakeService(other, version);
    this.#remakeService(id, version);
    if (before?.revisions === after?.revisions) return;
    for (const taskId of this.#tasksOf.get(id) ?? []) this.#remakeTask(taskId, version);
  }

  #takeTask(before: Task | undefined, after: Task | undefined, version: number): void {
    const id = (after ?? before)?.id;
    if (id === undefined) return;
    if (after === undefined) this.#tasks.delete(id);
    else this.#tasks.set(id, after);
    for (const key of [before?.nodeId, before?.serviceId]) this.#unlink(key, id);
    for (const key of [after?.nodeId, after?.serviceId]) this.#link(key, id);
    this.#remakeTask(id, version);
  }

  #remakeService(id: ServiceId, version: number): void {
    const service = this.#services.get(id);
    const made = service === undefined ? undefined : this.#mapServiceOf(service);
    if (!replace(this.#map.services, id, made)) return;
    this.#note({ generation: version, kind: "service", id });
  }

  #remakeTask(id: TaskId, version: number): void {
    const made = this.#mapTaskOf(this.#tasks.get(id));
    if (replace(this.#map.tasks, id, made)) this.#note({ generation: version, kind: "task", id });
  }

  #mapServiceOf(service: Service): MapService {
    const { id, stack, name, virtualIp } = service;
    const spec = specOf(service);
    const { ports, stickyMs, ingress } = spec;
    const networks = attachmentsOf(stack, spec).map((one) => this.#internal.resolve(one));
    return {
      id,
      stack,
      name,
      networks,
      ...(virtualIp === undefined || !wantsVirtualIp(service) ? {} : { virtualIp }),
      ports,
      ...(stickyMs === undefined ? {} : { stickyMs }),
      ...(ingress === undefined ? {} : { ingress }),
    };
  }

  /** Undefined for a task that others can't reach: it has no address, or one of another node. */
  #mapTaskOf(task: Task | undefined): MapTask | undefined {
    if (task?.nodeId === undefined || task.address === undefined) return undefined;
    if (isTerminal(task.state)) return undefined;
    const node = this.#nodes.get(task.nodeId);
    const service = this.#services.get(task.serviceId);
    const subnet = parseSubnet(node?.subnet ?? "");
    if (node === undefined || service === undefined || subnet === undefined) return undefined;
    // What an agent says of itself can't take traffic that is another node's.
    if (!isWithin(subnet, task.address)) return undefined;
    const { id, serviceId, slot, nodeId, address } = task;
    const ready = isReady(task) && node.health !== "down";
    const own = ownPartOf(service, task);
    return { id, serviceId, slot, nodeId, address, isReady: ready, ...own };
  }

  #note(entry: Logged): void {
    this.#moveTo(entry.generation);
    this.#log.push(entry);
  }

  #moveTo(generation: number): void {
    this.#map.generation = generation;
    this.#answers.clear();
  }

  #forget(count: number): void {
    this.#floor = this.#log[count - 1]?.generation ?? this.#floor;
    this.#log.splice(0, count);
  }

  #link(key: NodeId | ServiceId | undefined, taskId: TaskId): void {
    if (key === undefined) return;
    const tasks = this.#tasksOf.get(key) ?? new Set();
    this.#tasksOf.set(key, tasks.add(taskId));
  }

  #unlink(key: NodeId | ServiceId | undefined, taskId: TaskId): void {
    if (key === undefined) return;
    const tasks = this.#tasksOf.get(key);
    tasks?.delete(taskId);
    if (tasks?.size === 0) this.#tasksOf.delete(key);
  }
}

/** Undefined for a node without a network, and for one that names no address of its own. */
function mapNodeOf(node: Node): MapNode | undefined {
  // What an agent says of itself must not make the map one that no agent takes.
  return mapNodeSchema.safeParse(node).data;
}

/** Where a task of an older template is otherwise than its service is by now. */
function ownPartOf(service: Service, task: Task): Pick<MapTask, "networks" | "ports" | "ingress"> {
  if (isOfTemplate(service, task.revision)) return {};
  const [spec, current] = [specAt(service, task.revision), specOf(service)];
  // A task takes requests where the newest rules say that were made for tasks like it.
  const { ingress } = service.revisions.find((one) => sameTemplate(one.spec, spec))?.spec ?? spec;
  const namesOf = (one: typeof spec) => attachmentsOf(service.stack, one).map((a) => a.network);
  const networks = namesOf(spec);
  return {
    ...(equalJson(networks, namesOf(current)) ? {} : { networks }),
    ...(equalJson(spec.ports, current.ports) ? {} : { ports: spec.ports }),
    ...(samePorts(ingress, current.ingress) ? {} : { ingress }),
  };
}

/** Whether a task of the one takes the other's requests on the same ports. */
function samePorts(one: ServiceSpec["ingress"], current: ServiceSpec["ingress"]): boolean {
  const known = new Map(one?.map((rule) => [keyOfRule(rule), rule.port]));
  return (current ?? []).every((rule) => (known.get(keyOfRule(rule)) ?? rule.port) === rule.port);
}

/** Answers whether anything is different then. */
function replace<K, V>(table: Map<K, V>, id: K, made: V | undefined): boolean {
  const before = table.get(id);
  if (equalJson(before, made)) return false;
  if (made === undefined) table.delete(id);
  else table.set(id, made);
  return true;
}

function sort<K, V>(id: K, value: V | undefined, changed: V[], removed: K[]): void {
  if (value === undefined) removed.push(id);
  else changed.push(value);
}
