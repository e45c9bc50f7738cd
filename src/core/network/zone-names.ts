import type { MapService, MapTask } from "../../model/network-map.ts";
import type { ZoneIndex } from "./zone-index.ts";
import { networksOf, sharesOne, type Scope } from "./zone-scope.ts";

/** The zone of all names of the cluster. ICANN keeps `internal` free for private use. */
export const ZONE = "orchd.internal";

/** What a name of ours means to somebody. */
export interface Meaning {
  services: readonly MapService[];
  /** `service`: as each is reached; `tasks`: one by one; `slot`: those of one slot. */
  kind: "service" | "tasks" | "slot";
  slot?: string;
}

const TASKS = "tasks.";

/**
 * What a name in lower case means to who asks: a service's name or alias in one of the networks
 * that they share, `tasks.NAME`, `SERVICE.STACK`, or `SLOT.NAME`, the first that it can be.
 * Undefined when it is none.
 */
export function meaningOf(index: ZoneIndex, scope: Scope, name: string): Meaning | undefined {
  const named = servicesNamed(index, scope, name);
  if (named.length > 0) return { services: named, kind: "service" };
  if (name.startsWith(TASKS)) {
    const services = servicesOf(index, scope, name.slice(TASKS.length));
    if (services.length > 0) return { services, kind: "tasks" };
  }
  const stacked = servicesStacked(index, scope, name);
  if (stacked.length > 0) return { services: stacked, kind: "service" };
  const dot = name.indexOf(".");
  if (dot < 0) return undefined;
  const slot = name.slice(0, dot);
  const services = servicesOf(index, scope, name.slice(dot + 1));
  const isSlot = services.some(({ id }) => index.tasks.get(id)?.some((task) => task.slot === slot));
  return isSlot ? { services, kind: "slot", slot } : undefined;
}

/** The ready tasks of a service that one who asks may reach, in no order. */
export function readyTasks(index: ZoneIndex, scope: Scope, service: MapService): MapTask[] {
  const tasks = index.tasks.get(service.id) ?? [];
  return tasks.filter((task) => task.isReady && sharesOne(scope, networksOf(task, service)));
}

/** `web.shop.orchd.internal`: what everybody who may see the service finds it by. */
export function nameOfService({ name, stack }: MapService): string {
  return `${name}.${stack}.${ZONE}`;
}

/** `1.web.shop.orchd.internal` */
export function nameOfTask({ slot }: MapTask, service: MapService): string {
  return `${slot}.${nameOfService(service)}`;
}

function servicesOf(index: ZoneIndex, scope: Scope, name: string): readonly MapService[] {
  const named = servicesNamed(index, scope, name);
  return named.length > 0 ? named : servicesStacked(index, scope, name);
}

/** A name means those of one's own stack before those of others. */
function servicesNamed(index: ZoneIndex, scope: Scope, name: string): readonly MapService[] {
  const networks = scope.kind === "task" ? scope.networks : index.names.keys();
  const found = new Set<MapService>();
  for (const network of networks) {
    for (const service of index.names.get(network)?.get(name) ?? []) found.add(service);
  }
  if (scope.kind !== "task" || found.size < 2) return [...found];
  const own = [...found].filter(({ stack }) => stack === scope.stack);
  return own.length > 0 ? own : [...found];
}

function servicesStacked(index: ZoneIndex, scope: Scope, name: string): readonly MapService[] {
  const found = index.stacked.get(name) ?? [];
  return found.filter(({ networks }) =>
    sharesOne(
      scope,
      networks.map(({ network }) => network),
    ),
  );
}
