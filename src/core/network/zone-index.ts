import type { ServiceId } from "../../model/ids.ts";
import type { MapService, MapTask, NetworkMap } from "../../model/network-map.ts";

/** Services by name in one network. */
type Names = ReadonlyMap<string, readonly MapService[]>;

/** A map of the network, arranged for questions by name and by address. Names are in lower case. */
export interface ZoneIndex {
  /** By network: a service's own name, `shop_web` as Swarm has it, and its aliases there. */
  names: ReadonlyMap<string, Names>;
  /** `web.shop`: wherever they are. */
  stacked: Names;
  /** In no order, ready or not. */
  tasks: ReadonlyMap<ServiceId, readonly MapTask[]>;
  services: ReadonlyMap<ServiceId, MapService>;
  taskAt: ReadonlyMap<string, MapTask>;
  serviceAt: ReadonlyMap<string, MapService>;
}

/** Takes some milliseconds for thousands of tasks: for whoever has a question, not for each map. */
export function indexZone({ services, tasks }: NetworkMap): ZoneIndex {
  const index = {
    names: new Map<string, Map<string, MapService[]>>(),
    stacked: new Map<string, MapService[]>(),
    tasks: new Map<ServiceId, MapTask[]>(),
    services: new Map<ServiceId, MapService>(),
    taskAt: new Map<string, MapTask>(),
    serviceAt: new Map<string, MapService>(),
  };
  for (const service of services) {
    const { id, stack, name, networks, virtualIp } = service;
    index.services.set(id, service);
    push(index.stacked, `${name}.${stack}`.toLowerCase(), service);
    if (virtualIp !== undefined) index.serviceAt.set(virtualIp, service);
    for (const { network, aliases } of networks) {
      const names = index.names.get(network) ?? new Map<string, MapService[]>();
      index.names.set(network, names);
      const all = [name, `${stack}_${name}`, ...aliases].map((one) => one.toLowerCase());
      for (const one of new Set(all)) push(names, one, service);
    }
  }
  for (const task of tasks) {
    push(index.tasks, task.serviceId, task);
    index.taskAt.set(task.address, task);
  }
  return index;
}

function push<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
