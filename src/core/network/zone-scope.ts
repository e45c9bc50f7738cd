import { isInRange, type IpRange } from "../../lib/ip.ts";
import type { MapService, MapTask } from "../../model/network-map.ts";
import type { ZoneIndex } from "./zone-index.ts";

/** What somebody who asks may see. */
export type Scope =
  /** The node itself, where people look: everything. */
  | { kind: "node" }
  | {
      kind: "task";
      stack: string;
      networks: ReadonlySet<string>;
      /** All its networks are internal: nothing outside the cluster is its business. */
      isClosed: boolean;
    }
  /** An address of the cluster that the map does not know yet. */
  | { kind: "newcomer" }
  /** Of another network altogether. */
  | { kind: "stranger" };

/** Who asks from an address. `gateway` is the node's own on its bridge. */
export function scopeOf(
  index: ZoneIndex,
  address: string,
  { range, gateway }: { range: IpRange; gateway: string },
): Scope {
  if (address === gateway || address.startsWith("127.")) return { kind: "node" };
  const task = index.taskAt.get(address);
  const service = task && index.services.get(task.serviceId);
  if (task !== undefined && service !== undefined) return scopeOfTask(task, service);
  return { kind: isInRange(address, range) ? "newcomer" : "stranger" };
}

/** The networks of a task, by its own revision. */
export function networksOf(task: MapTask, service: MapService): readonly string[] {
  return task.networks ?? service.networks.map(({ network }) => network);
}

function scopeOfTask(task: MapTask, service: MapService): Scope {
  const networks = new Set(networksOf(task, service));
  const closed = service.networks.filter(({ internal }) => internal);
  const isClosed =
    networks.size > 0 &&
    [...networks].every((name) => closed.some(({ network }) => network === name));
  return { kind: "task", stack: service.stack, networks, isClosed };
}

/** Whether one who asks shares one of these networks. */
export function sharesOne(scope: Scope, networks: readonly string[]): boolean {
  if (scope.kind === "task") return networks.some((network) => scope.networks.has(network));
  // What a newcomer may see is not known: to it such a name is one that may be there soon.
  return scope.kind !== "stranger";
}
