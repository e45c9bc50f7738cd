import { nodeValue } from "../../model/constraint.ts";
import type { Node } from "../../model/node.ts";
import { unmetWishes } from "./affinity.ts";
import type { Candidate } from "./candidate.ts";
import type { NodeLoad } from "./load.ts";

/** A node that fits, with the load that it has so far. */
export interface Option {
  node: Node;
  load: NodeLoad;
}

/**
 * The best of `options`: it lies in the emptiest group of each spread preference in turn, then
 * leaves the fewest wishes about other services unmet, then has the fewest tasks of the service,
 * then the most of its room free (of a service that is packed: the least), then the lowest draw.
 * @param drawOf a random number for a node, to break ties without favouring low ids
 */
export function bestOption(
  candidate: Candidate,
  options: readonly Option[],
  drawOf: (node: Node) => number,
): Option | undefined {
  let left = options;
  for (const key of candidate.spec.placement.spread) left = emptiestGroup(candidate, left, key);
  let best: Option | undefined;
  let bestScore: Score | undefined;
  for (const option of left) {
    const score = scoreOf(candidate, option, drawOf(option.node));
    if (bestScore === undefined || isLower(score, bestScore)) {
      best = option;
      bestScore = score;
    }
  }
  return best;
}

/** Lower is better, compared from the left. */
type Score = readonly number[];

function scoreOf(candidate: Candidate, { node, load }: Option, draw: number): Score {
  const { task, spec, bonds } = candidate;
  const { cpuMillis, memoryBytes } = node.resources;
  const used =
    load.cpuMillis / Math.max(1, cpuMillis) + load.memoryBytes / Math.max(1, memoryBytes);
  const wishes = unmetWishes(bonds, node);
  // Whoever packs wants full nodes, and so also those with tasks of its own service.
  if (spec.placement.strategy === "binpack") return [wishes, -used, -load.tasks, draw];
  return [wishes, load.tasksByService.get(task.serviceId) ?? 0, used, load.tasks, draw];
}

function isLower(a: Score, b: Score): boolean {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** The options of the group, told by the node's value under `key`, with the fewest of its tasks. */
function emptiestGroup(
  { task }: Candidate,
  options: readonly Option[],
  key: string,
): readonly Option[] {
  const groups = new Map<string, { tasks: number; options: Option[] }>();
  for (const option of options) {
    const value = nodeValue(option.node, key) ?? "";
    const group = groups.get(value) ?? { tasks: 0, options: [] };
    group.tasks += option.load.tasksByService.get(task.serviceId) ?? 0;
    group.options.push(option);
    groups.set(value, group);
  }
  let best: { tasks: number; options: Option[] } | undefined;
  for (const group of groups.values()) {
    if (best === undefined || group.tasks < best.tasks) best = group;
  }
  return best?.options ?? [];
}
