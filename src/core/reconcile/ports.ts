import { sortedBy } from "../../lib/order.ts";
import { formatServiceName } from "../../model/names.ts";
import { specOf, type Port, type ServiceSpec } from "../../model/service.ts";
import type { View } from "../../model/view.ts";

/** Where ports are picked from when a file publishes one without saying which, as Swarm does. */
const PICK_FIRST = 30_000;
const PICK_LAST = 32_767;

export interface PortAssignment {
  /** The services with every published port known. */
  specs: [name: string, spec: ServiceSpec][];
  /** Ports that cannot be had, one sentence each. */
  problems: string[];
}

/**
 * Gives each service of a stack its published ports. One that the file leaves open keeps what the
 * service had, or takes the lowest free one. A port belongs to one service of the cluster; two
 * services may publish the same one in mode `host`, since placement keeps them apart.
 */
export function assignPorts(
  view: View,
  stack: string,
  services: Readonly<Record<string, ServiceSpec>>,
): PortAssignment {
  const problems: string[] = [];
  const owners = ownersElsewhere(view, stack, services);
  const take = (port: Port, owner: string) => {
    const key = keyOf(port);
    const other = owners.get(key);
    if (other !== undefined && other.owner !== owner && !isShared(other, port)) {
      problems.push(`${owner} can't publish port ${key}: ${other.owner} does already`);
    } else {
      owners.set(key, { owner, mode: port.mode });
    }
  };
  const sorted = sortedBy(Object.entries(services), ([name]) => name);
  for (const [name, spec] of sorted) {
    for (const port of spec.ports)
      if (port.published !== 0) take(port, formatServiceName(stack, name));
  }
  const specs = sorted.map(([name, spec]): [string, ServiceSpec] => {
    if (spec.ports.every((port) => port.published !== 0)) return [name, spec];
    const before = view.serviceNamed(stack, name);
    const had = before === undefined ? [] : specOf(before).ports;
    const ports = spec.ports.map((port) => {
      if (port.published !== 0) return port;
      // What it had may be another's by now, when the file names that port elsewhere.
      const kept = had.find((p) => {
        const owner = owners.get(keyOf(p));
        const isFree = owner === undefined || isShared(owner, port);
        return p.target === port.target && p.protocol === port.protocol && isFree;
      });
      const picked = { ...port, published: kept?.published ?? lowestFree(owners, port) };
      if (picked.published === 0)
        problems.push(`no port from ${PICK_FIRST} to ${PICK_LAST} is free`);
      else take(picked, formatServiceName(stack, name));
      return picked;
    });
    return [name, { ...spec, ports }];
  });
  return { specs, problems };
}

interface Owner {
  owner: string;
  mode: Port["mode"];
}

/** Who publishes what, but for the services that are about to be given their ports. */
function ownersElsewhere(
  view: View,
  stack: string,
  services: Readonly<Record<string, ServiceSpec>>,
): Map<string, Owner> {
  const owners = new Map<string, Owner>();
  for (const service of view.services.values()) {
    if (service.stack === stack && Object.hasOwn(services, service.name)) continue;
    const owner = formatServiceName(service.stack, service.name);
    for (const port of specOf(service).ports) owners.set(keyOf(port), { owner, mode: port.mode });
  }
  return owners;
}

/** Tasks with a port of their node are kept apart by placement. */
function isShared(owner: Owner, port: Port): boolean {
  return owner.mode === "host" && port.mode === "host";
}

function lowestFree(owners: ReadonlyMap<string, Owner>, port: Port): number {
  for (let published = PICK_FIRST; published <= PICK_LAST; published++) {
    if (!owners.has(keyOf({ ...port, published }))) return published;
  }
  return 0;
}

/** Ports of different addresses of a node do not meet, but are told apart too rarely to matter. */
function keyOf(port: Port): string {
  return `${port.published}/${port.protocol}`;
}
