import type { Node } from "../../model/node.ts";
import { unmetWishes } from "./affinity.ts";
import type { Candidate } from "./candidate.ts";
import type { NodeLoad } from "./load.ts";

/** `1 of its tasks, 30 % reserved`: what the scheduler goes by, for people. */
export function meritsOf(candidate: Candidate, node: Node, load: NodeLoad): string {
  const { cpuMillis, memoryBytes } = node.resources;
  const shares = [load.cpuMillis / cpuMillis, load.memoryBytes / memoryBytes];
  const reserved = Math.round(100 * Math.max(...shares.filter(Number.isFinite), 0));
  const own = load.tasksByService.get(candidate.task.serviceId) ?? 0;
  const wishes = unmetWishes(candidate.bonds, node);
  const unmet = wishes === 0 ? [] : [`${wishes === 1 ? "1 wish" : `${wishes} wishes`} unmet`];
  return [`${own} of its tasks`, `${reserved} % reserved`, ...unmet].join(", ");
}
