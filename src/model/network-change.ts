import { z } from "zod";
import { nodeIdSchema, serviceIdSchema, taskIdSchema } from "./ids.ts";
import type { NodeId, ServiceId, TaskId } from "./ids.ts";
import {
  type MapNode,
  mapNodeSchema,
  type MapService,
  mapServiceSchema,
  type MapTask,
  mapTaskSchema,
  type NetworkMap,
  networkMapSchema,
} from "./network-map.ts";

/** More than any cluster has: what a map may come to, of each kind. */
export const MAP_NODES_MAX = 65_536;
export const MAP_SERVICES_MAX = 65_536;
export const MAP_TASKS_MAX = 262_144;

const { generation, mode, range, range6 } = networkMapSchema.shape;

/** What turns a map into a newer one, or a whole one. */
export const networkChangeSchema = z.object({
  generation,
  /** The generation that this changes; absent where it is the whole map. */
  base: generation.optional(),
  mode,
  range,
  range6,
  /** Those that are new or different. */
  nodes: z.array(mapNodeSchema).max(MAP_NODES_MAX),
  services: z.array(mapServiceSchema).max(MAP_SERVICES_MAX),
  tasks: z.array(mapTaskSchema).max(MAP_TASKS_MAX),
  /** Those that are there no more. */
  removed: z.object({
    nodes: z.array(nodeIdSchema).max(MAP_NODES_MAX),
    services: z.array(serviceIdSchema).max(MAP_SERVICES_MAX),
    tasks: z.array(taskIdSchema).max(MAP_TASKS_MAX),
  }),
});
export type NetworkChange = z.infer<typeof networkChangeSchema>;

/** Where a map comes from, whatever of it is known already. */
export interface NetworkSource {
  /**
   * What has changed since that generation: nothing where it is the newest one, and the whole map
   * where it is not known any more, or is undefined.
   */
  since(base: number | undefined): NetworkChange;
}

/** A map that is moved forward by changes. */
export class MovingMap {
  generation = 0;
  mode: NetworkMap["mode"];
  range: string;
  range6: string | undefined;
  readonly nodes = new Map<NodeId, MapNode>();
  readonly services = new Map<ServiceId, MapService>();
  readonly tasks = new Map<TaskId, MapTask>();

  constructor(of: Pick<NetworkMap, "mode" | "range" | "range6">) {
    this.mode = of.mode;
    this.range = of.range;
    this.range6 = of.range6;
  }

  static of(map: NetworkMap): MovingMap {
    const moving = new MovingMap(map);
    moving.take({ ...map, removed: { nodes: [], services: [], tasks: [] } });
    return moving;
  }

  /** Takes a change of this map's generation, or a whole one. */
  take(change: NetworkChange): void {
    const { base, removed } = change;
    this.generation = change.generation;
    this.mode = change.mode;
    this.range = change.range;
    this.range6 = change.range6;
    const tables = [this.nodes, this.services, this.tasks];
    if (base === undefined) for (const table of tables) table.clear();
    for (const id of removed.nodes) this.nodes.delete(id);
    for (const id of removed.services) this.services.delete(id);
    for (const id of removed.tasks) this.tasks.delete(id);
    for (const node of change.nodes) this.nodes.set(node.id, node);
    for (const service of change.services) this.services.set(service.id, service);
    for (const task of change.tasks) this.tasks.set(task.id, task);
  }

  toMap(): NetworkMap {
    const { generation, mode, range, range6 } = this;
    return {
      generation,
      mode,
      range,
      ...(range6 === undefined ? {} : { range6 }),
      nodes: [...this.nodes.values()],
      services: [...this.services.values()],
      tasks: [...this.tasks.values()],
    };
  }
}

/** Whether it changes nothing but the generation. */
export function isEmptyChange({ base, nodes, services, tasks, removed }: NetworkChange): boolean {
  const gone = removed.nodes.length + removed.services.length + removed.tasks.length;
  return base !== undefined && nodes.length + services.length + tasks.length + gone === 0;
}
