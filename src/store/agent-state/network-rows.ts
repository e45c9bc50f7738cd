import type { z } from "zod";
import { equalJson } from "../../lib/order.ts";
import {
  type MapNode,
  mapNodeSchema,
  type MapService,
  mapServiceSchema,
  type MapTask,
  mapTaskSchema,
  type NetworkMap,
  networkMapSchema,
} from "../../model/network-map.ts";

const headSchema = networkMapSchema.omit({ nodes: true, services: true, tasks: true });
type Head = z.infer<typeof headSchema>;

/** One row of the table: what of the map it is stands in its key. */
export type MapRow = Head | MapNode | MapService | MapTask;

const HEAD = "map";

/** The map as rows by key. */
export function rowsOfMap(map: NetworkMap): Map<string, MapRow> {
  const { nodes, services, tasks, ...head } = map;
  const rows = new Map<string, MapRow>([[HEAD, head]]);
  for (const node of nodes) rows.set(`node/${node.id}`, node);
  for (const service of services) rows.set(`service/${service.id}`, service);
  for (const task of tasks) rows.set(`task/${task.id}`, task);
  return rows;
}

/** @throws ZodError, or an error for a key of no known kind */
export function parseMapRow(key: string, body: unknown): MapRow {
  if (key === HEAD) return headSchema.parse(body);
  const [kind, id] = key.split("/");
  const row = schemaOf(kind ?? "").parse(body);
  if (row.id !== id) throw new Error("its body belongs to another key");
  return row;
}

/** Undefined where there is none. */
export function mapFromRows(rows: ReadonlyMap<string, MapRow>): NetworkMap | undefined {
  const head = rows.get(HEAD);
  if (head === undefined) return undefined;
  const map: NetworkMap = { ...(head as Head), nodes: [], services: [], tasks: [] };
  for (const [key, row] of rows) {
    // The key tells the type: rows were parsed by it, or made from a map.
    if (key.startsWith("node/")) map.nodes.push(row as MapNode);
    else if (key.startsWith("service/")) map.services.push(row as MapService);
    else if (key.startsWith("task/")) map.tasks.push(row as MapTask);
  }
  return map;
}

/** Whether the two are the same map, whatever their generations. */
export function hasSameMap(
  a: ReadonlyMap<string, MapRow>,
  b: ReadonlyMap<string, MapRow>,
): boolean {
  if (a.size !== b.size) return false;
  for (const [key, row] of b) {
    const other = a.get(key);
    if (other === undefined) return false;
    const isSame =
      key === HEAD ? equalJson({ ...other, generation: 0 }, { ...row, generation: 0 }) : false;
    if (!isSame && !equalJson(other, row)) return false;
  }
  return true;
}

function schemaOf(kind: string) {
  if (kind === "node") return mapNodeSchema;
  if (kind === "service") return mapServiceSchema;
  if (kind === "task") return mapTaskSchema;
  throw new Error("its key is of no known kind");
}
