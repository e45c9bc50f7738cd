import { nodeValue } from "../../model/constraint.ts";
import type { NodeId, ServiceId } from "../../model/ids.ts";
import { formatServiceName } from "../../model/names.ts";
import type { Node } from "../../model/node.ts";
import { specOf, type Affinity, type Service } from "../../model/service.ts";
import { isLive, occupiesNode, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";

/** One rule about where a task is to be as seen from another service's tasks. */
export interface Bond extends Affinity {
  /** Whether the other service made the rule: what is apart is so from both sides. */
  isTheirs: boolean;
  /** Whether the other service is the task's own. */
  isOwn: boolean;
  /** The values of `key` at which the other service has tasks. */
  places: ReadonlySet<string>;
}

/** Rules that hold for services other than those that made them, by the name of whom they name. */
export type BondIndex = ReadonlyMap<string, readonly { maker: Service; rule: Affinity }[]>;

/** Tasks that were given a node, which the view does not know yet; by service. */
export type Placed = ReadonlyMap<ServiceId, readonly { slot: string; nodeId: NodeId }[]>;

/** All rules by which a service must be apart from another. */
export function bondIndexOf(view: Pick<View, "services">): BondIndex {
  const index = new Map<string, { maker: Service; rule: Affinity }[]>();
  for (const maker of view.services.values()) {
    for (const rule of specOf(maker).placement.affinity ?? []) {
      if (!rule.required || rule.relation !== "apart") continue;
      const known = index.get(rule.service);
      if (known === undefined) index.set(rule.service, [{ maker, rule }]);
      else known.push({ maker, rule });
    }
  }
  return index;
}

/** The rules for a task of `service`, with where the tasks are that they speak of. */
export function bondsOf(
  view: View,
  service: Service,
  task: Task,
  { index, placed }: { index: BondIndex; placed: Placed },
): Bond[] {
  const own = specOf(service).placement.affinity ?? [];
  const name = formatServiceName(service.stack, service.name);
  const bonds = own.map((rule) => {
    const [stack = "", other = ""] = rule.service.split("/");
    const target = view.serviceNamed(stack, other);
    return bondOf(view, task, { rule, target, isTheirs: false, placed });
  });
  for (const { maker, rule } of index.get(name) ?? []) {
    if (maker.id === service.id) continue;
    const theirs = { ...rule, service: formatServiceName(maker.stack, maker.name) };
    bonds.push(bondOf(view, task, { rule: theirs, target: maker, isTheirs: true, placed }));
  }
  return bonds;
}

function bondOf(
  view: View,
  task: Task,
  given: { rule: Affinity; target: Service | undefined; isTheirs: boolean; placed: Placed },
): Bond {
  const { rule, target, isTheirs, placed } = given;
  const places = new Set<string>();
  const note = (id: NodeId | undefined) => {
    const node = id === undefined ? undefined : view.nodes.get(id);
    if (node !== undefined) places.add(nodeValue(node, rule.key) ?? "");
  };
  const isOwn = target?.id === task.serviceId;
  // The task that it is to replace is no other one.
  const isSlot = (slot: string) => isOwn && slot === task.slot;
  for (const other of target === undefined ? [] : view.tasksOf(target.id)) {
    if (isSlot(other.slot)) continue;
    // What is about to end is no longer good to be near to, but is still there.
    if (occupiesNode(other) && (rule.relation === "apart" || isLive(other))) note(other.nodeId);
  }
  for (const { slot, nodeId } of (target && placed.get(target.id)) ?? []) {
    if (!isSlot(slot)) note(nodeId);
  }
  return { ...rule, isTheirs, isOwn, places };
}

/** Why a task with this rule can't be on the node, in words that follow its name. */
export function refusalOfBond(bond: Bond, node: Node): string | undefined {
  if (!bond.required || isMet(bond, node)) return undefined;
  const { relation, service, key, places, isTheirs } = bond;
  const place = key === "node.id" || key === "node.hostname" ? "" : ` by ${key}`;
  if (relation === "near") {
    const why = places.size === 0 ? ", which has none on any node" : place;
    return `is not near to a task of ${service}${why}`;
  }
  const who = isTheirs ? "which is to be apart from it" : "from which it is to be apart";
  return place === ""
    ? `holds a task of ${service}, ${who}`
    : `is where ${service} has a task${place}, ${who}`;
}

/** How many wishes about other services the node leaves unmet. */
export function unmetWishes(bonds: readonly Bond[], node: Node): number {
  return bonds.filter((bond) => !bond.required && !isMet(bond, node)).length;
}

function isMet({ relation, key, places, isOwn }: Bond, node: Node): boolean {
  const isThere = places.has(nodeValue(node, key) ?? "");
  if (relation === "apart") return !isThere;
  // The first of several that are to be near to one another can be anywhere.
  return isThere || (isOwn && places.size === 0);
}

/** Whether tasks of the service wait for those of another one to have a node. */
export function followsOthers(service: Service): boolean {
  return (specOf(service).placement.affinity ?? []).some(({ relation }) => relation === "near");
}
