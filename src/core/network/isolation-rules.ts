import { compareText } from "../../lib/order.ts";
import type { NodeId } from "../../model/ids.ts";
import type { MapService, MapTask, NetworkMap } from "../../model/network-map.ts";
import { IPV4, type Family } from "./family.ts";
import type { Chain, NamedSet } from "./rule-table.ts";

/** Which tasks may talk with those of a node; parts of one table. */
export interface IsolationRules {
  sets: Map<string, NamedSet>;
  chains: Map<string, Chain>;
}

/** Names of sets have an end: what is longer than this gets a number instead. */
const NAME_MAX = 200;

/**
 * For each task of the node a chain for what it sends and one for what it is sent, found with one
 * look into a map; and for each network that it is in the set of the addresses there, on all nodes.
 * So both ends of a connection are asked, and what concerns no task here is not known here.
 */
export function isolationRules(
  map: NetworkMap,
  own: NodeId,
  family: Family = IPV4,
): IsolationRules {
  const services = new Map(map.services.map((service) => [service.id, service]));
  const networksOf = ({ networks, serviceId }: MapTask) =>
    networks ?? (services.get(serviceId)?.networks ?? []).map(({ network }) => network);
  const ours = map.tasks.filter(({ nodeId }) => nodeId === own);
  const names = nameNetworks(ours.flatMap(networksOf));
  const members = new Map([...names.keys()].map((network) => [network, new Set<string>()]));
  for (const task of map.tasks) {
    for (const network of networksOf(task)) {
      members.get(network)?.add(family.address(task.address));
    }
  }
  const rules: IsolationRules = { sets: new Map(), chains: new Map() };
  for (const [network, name] of names) {
    rules.sets.set(name, { type: family.type, elements: members.get(network) ?? new Set() });
  }
  const internal = internalNetworks(map.services);
  addTasks(
    rules,
    { family, range: family.network(map.range) },
    ours.map((task) => {
      const networks = networksOf(task);
      const isInternal = networks.length > 0 && networks.every((network) => internal.has(network));
      const sets = networks.map((network) => `@${names.get(network) ?? ""}`);
      return { address: task.address, sets, isInternal };
    }),
  );
  return rules;
}

interface OwnTask {
  address: string;
  /** Of its networks, as rules name them. */
  sets: string[];
  /** Whether it reaches nothing outside the cluster. */
  isInternal: boolean;
}

function addTasks(
  { sets, chains }: IsolationRules,
  { family, range }: { family: Family; range: string },
  tasks: OwnTask[],
): void {
  const { name, type } = family;
  const senders = new Set<string>();
  const receivers = new Set<string>();
  const internal = new Set<string>();
  const selves = new Set<string>();
  for (const { address: named, sets: own, isInternal } of tasks) {
    const address = family.address(named);
    selves.add(`${address} . ${address}`);
    const [from, to] = [`from_${named}`, `to_${named}`];
    senders.add(`${address} : goto ${from}`);
    receivers.add(`${address} : goto ${to}`);
    if (isInternal) internal.add(address);
    chains.set(from, {
      rules: [
        ...own.map((set) => `${name} daddr ${set} accept`),
        ...(isInternal ? [] : [`${name} daddr != ${range} accept`]),
        "drop",
      ],
    });
    chains.set(to, { rules: [...own.map((set) => `${name} saddr ${set} accept`), "drop"] });
  }
  sets.set("senders", { type: `${type} : verdict`, elements: senders });
  sets.set("receivers", { type: `${type} : verdict`, elements: receivers });
  sets.set("selves", { type: `${type} . ${type}`, elements: selves });
  sets.set("internal", { type, elements: internal });
}

function internalNetworks(services: readonly MapService[]): Set<string> {
  const all = services.flatMap(({ networks }) => networks);
  return new Set(all.filter(({ internal }) => internal).map(({ network }) => network));
}

/** A name for the set of each network. No two networks have the same one, whatever people type. */
function nameNetworks(networks: readonly string[]): Map<string, string> {
  const sorted = [...new Set(networks)].sort(compareText);
  return new Map(sorted.map((network, i) => [network, `net_${escape(network, i)}`]));
}

function escape(network: string, index: number): string {
  const escaped = network.replaceAll(
    /[^A-Za-z0-9.-]/gu,
    (character) => `_${character.codePointAt(0)?.toString(16) ?? ""}_`,
  );
  return escaped.length <= NAME_MAX ? escaped : `/${index}`;
}
