import { isMet } from "../../model/constraint.ts";
import type { Constraint } from "../../model/service.ts";
import type { ClusterLoad } from "./cluster-load.ts";

/** What nodes share by nature: few values for many nodes. */
const SHARED_KEYS = /^node\.(labels\.|platform\.|role$)/;
/** Values that are asked one by one; with more of them the nodes themselves are asked. */
const VALUES_MAX = 1000;

/**
 * Leaves out nodes that can't meet the constraints, without a look at the nodes themselves: each
 * value that they have is asked once. Whoever is left may refuse all the same.
 * @param members places of nodes in the cluster's loads; changed in place
 */
export function sieve(
  members: Int32Array,
  constraints: readonly Constraint[],
  load: ClusterLoad,
): Int32Array {
  return constraints.reduce((left, constraint) => sieveBy(left, constraint, load), members);
}

function sieveBy(members: Int32Array, constraint: Constraint, load: ClusterLoad): Int32Array {
  if (!SHARED_KEYS.test(constraint.key)) return members;
  const { values, texts } = load.valuesOf(constraint.key);
  if (texts.length > VALUES_MAX) return members;
  const meets = texts.map((text) => isMet(constraint, text));
  let size = 0;
  for (let i = 0; i < members.length; i++) {
    const member = members[i] ?? 0;
    if (meets[values[member] ?? 0] === true) members[size++] = member;
  }
  return members.subarray(0, size);
}
