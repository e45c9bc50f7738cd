import { sortedBy } from "../../lib/order.ts";
import type { NodeId, ServiceId } from "../../model/ids.ts";
import type { MapService, MapTask, NetworkMap } from "../../model/network-map.ts";
import type { Port } from "../../model/service.ts";
import { formatChoice } from "./choice.ts";
import { IPV4, type Family } from "./family.ts";
import type { Chain, NamedSet } from "./rule-table.ts";

/** What spreads the connections to services over their tasks; parts of one table. */
export interface EndpointRules {
  counters: Set<string>;
  sets: Map<string, NamedSet>;
  chains: Map<string, Chain>;
}

/** Where rules are added. */
interface Rules extends EndpointRules {
  family: Family;
}

/** A port as one task publishes it. */
interface Published {
  port: Port;
  address: string;
  serviceId: ServiceId;
  isSticky: boolean;
}

/** The counter of a published port's connections, by the port: `8080/tcp`. */
export function counterOf({ protocol, published }: Pick<Port, "protocol" | "published">): string {
  return `${protocol}_${published}`;
}

/** The port of a counter; undefined for a counter of something else. */
export function portOfCounter(counter: string): string | undefined {
  const [protocol, port, ...more] = counter.split("_");
  return port === undefined || more.length > 0 ? undefined : `${port}/${protocol}`;
}

/**
 * A virtual address and a published port are each found with one look into a map, however many
 * there are, and lead to a chain of their own, which alone changes when their tasks do.
 * @param isHeld whether the node answers on that port: another program may have it
 */
export function endpointRules(
  map: NetworkMap,
  own: NodeId,
  isHeld: (port: Port) => boolean,
  family: Family = IPV4,
): EndpointRules {
  const rules: Rules = { counters: new Set(), sets: new Map(), chains: new Map(), family };
  const ready = map.tasks.filter((task) => task.isReady);
  addVirtual(
    rules,
    map.services,
    Map.groupBy(ready, (task) => task.serviceId),
  );
  addPublished(
    rules,
    publishedBy(map, ready, own).filter(({ port }) => isHeld(port) && isReached(port, family)),
  );
  const { counters, sets, chains } = rules;
  return { counters, sets, chains };
}

/** One address of a machine on which a port is published is always of IPv4. */
function isReached({ hostIp }: Port, { name }: Family): boolean {
  return hostIp === undefined || name === "ip";
}

/** Every port that the node answers on, each once. */
export function portsAnswered(map: NetworkMap, own: NodeId): Port[] {
  const all = publishedBy(map, map.tasks, own).map(({ port }) => port);
  for (const { ports } of map.services) all.push(...ports.filter(({ mode }) => mode === "ingress"));
  const byKey = new Map(all.filter(({ published }) => published > 0).map((p) => [keyOf(p), p]));
  return sortedBy(byKey, ([key]) => key).map(([, port]) => port);
}

function addVirtual(
  { sets, chains, family }: Rules,
  services: readonly MapService[],
  ready: ReadonlyMap<ServiceId, MapTask[]>,
): void {
  const virtual = new Set<string>();
  for (const { id, virtualIp, stickyMs } of services) {
    const addresses = (ready.get(id) ?? []).map((task) => task.address).sort();
    if (virtualIp === undefined || addresses.length === 0) continue;
    const chain = `service_${virtualIp}`;
    virtual.add(`${family.address(virtualIp)} : goto ${chain}`);
    // Packets keep their port: whatever a task listens on is reached.
    const targets = addresses.map((address) => family.address(address));
    const choice = formatChoice(targets, stickyMs !== undefined, family);
    chains.set(chain, { rules: [`dnat to ${choice}`] });
  }
  sets.set("services", { type: `${family.type} : verdict`, elements: virtual });
}

function addPublished(rules: Rules, all: readonly Published[]): void {
  const { counters, sets, chains, family } = rules;
  const anywhere = new Set<string>();
  const somewhere = new Set<string>();
  for (const [key, group] of sortedBy(
    Map.groupBy(all, ({ port }) => keyOf(port)),
    ([k]) => k,
  )) {
    const entries = sortedBy(ofOneService(group), ({ address }) => address);
    const [first] = entries;
    if (first === undefined) continue;
    const { protocol, published, hostIp } = first.port;
    const chain = `port_${key}`;
    const found = `${protocol} . ${published} : goto ${chain}`;
    if (hostIp === undefined) anywhere.add(found);
    else somewhere.add(`${hostIp} . ${found}`);
    const counter = counterOf(first.port);
    counters.add(counter);
    const targets = entries.map(
      ({ address, port }) => `${family.address(address)} . ${port.target}`,
    );
    const choice = formatChoice(targets, first.isSticky, family);
    // The rule sees the first packet of a connection alone: its counter counts connections.
    const rule = `meta l4proto ${protocol} counter name "${counter}" dnat to ${choice}`;
    chains.set(chain, { rules: [rule] });
  }
  const port = "inet_proto . inet_service";
  sets.set("published", { type: `${port} : verdict`, elements: anywhere });
  if (family.name === "ip6") return;
  sets.set("published_at", { type: `${family.type} . ${port} : verdict`, elements: somewhere });
}

function publishedBy(map: NetworkMap, tasks: readonly MapTask[], own: NodeId): Published[] {
  const services = new Map(map.services.map((service) => [service.id, service]));
  return tasks.flatMap(({ serviceId, nodeId, address, ports }) => {
    const service = services.get(serviceId);
    const isSticky = service?.stickyMs !== undefined;
    return (ports ?? service?.ports ?? [])
      .filter(({ mode, published }) => published > 0 && (mode === "ingress" || nodeId === own))
      .map((port) => ({ port, address, serviceId, isSticky }));
  });
}

/** Where two services publish one port, the older one has it; a client means one of them. */
function ofOneService(group: readonly Published[]): Published[] {
  const [first] = group.map(({ serviceId }) => serviceId).sort();
  return group.filter(({ serviceId }) => serviceId === first);
}

function keyOf({ protocol, published, hostIp }: Port): string {
  return [protocol, published, hostIp].filter((part) => part !== undefined).join("_");
}
