import { assert } from "../../lib/assert.ts";
import { hashText, mix32 } from "../../lib/random.ts";
import type { LoadedNode, ValueColumn } from "./cluster-load.ts";
import { Heap, type Before } from "./heap.ts";

/** What a tree is made of. Nodes are numbers: their places in the cluster's loads. */
export interface SpreadOptions {
  /** What each level of preferences sees in a node, the outermost first. */
  columns: readonly ValueColumn[];
  /** How many tasks of the service nodes hold, members or not. */
  tasks: ReadonlyMap<LoadedNode, number>;
  /** Which of two nodes of one group is better. */
  before: Before;
  /** Decides between groups that are equal. */
  seed: number;
}

/** Nodes that agree in the values of the preferences so far. */
interface Group {
  /** Tasks of the service on all its nodes. */
  tasks: number;
  readonly draw: number;
  readonly text: string;
  readonly parent: Group | undefined;
  /** By the number of the value. */
  readonly byValue: (Group | undefined)[];
  readonly groups: Group[];
  /** Its place in `parent.groups`. */
  readonly place: number;
  /** The places of the groups in it that have members left, or for the innermost its members. */
  readonly open: Heap;
}

/**
 * The members of nested groups, from which the best is taken: it lies in the emptiest group of each
 * level in turn. What a group holds counts on all its nodes, also on those that can't take more.
 */
export class SpreadTree {
  readonly #columns: readonly ValueColumn[];
  readonly #before: Before;
  readonly #seed: number;
  readonly #root: Group;

  /** Takes `members` for its own. */
  constructor(members: Int32Array, { columns, tasks, before, seed }: SpreadOptions) {
    this.#columns = columns;
    this.#before = before;
    this.#seed = seed;
    if (columns.length === 0) {
      this.#root = this.#newGroup("", undefined, 0, new Heap(before, members));
      this.#root.open.order();
      return;
    }
    this.#root = this.#newGroup("", undefined, 0);
    // An iterator of a typed array is slow, and here are all nodes.
    for (let i = 0; i < members.length; i++) {
      const member = members[i] ?? 0;
      this.#groupOf(member).open.append(member);
    }
    for (const [{ index }, count] of tasks) {
      if (index < 0) continue;
      for (let at: Group | undefined = this.#groupOf(index); at !== undefined; at = at.parent) {
        at.tasks += count;
      }
    }
    this.#orderGroups(this.#root);
  }

  /** The best member, or undefined when none is left. */
  best(): number | undefined {
    return this.#innermost()?.open.top();
  }

  /** Takes the best member out. */
  dropBest(): void {
    let group = this.#innermost();
    group?.open.dropTop();
    while (group?.parent !== undefined && group.open.size === 0) {
      group.parent.open.dropTop();
      group = group.parent;
    }
  }

  /**
   * How full the groups of two nodes are, by the first level at which these differ, when the first
   * node has lost one task: below 0 where its group is no fuller, above 0 where it is, 0 where both
   * nodes are in the same groups.
   */
  compareGroups(a: number, b: number): number {
    const [chainA, chainB] = [chainOf(this.#groupOf(a)), chainOf(this.#groupOf(b))];
    const level = chainA.findIndex((group, at) => group !== chainB[at]);
    if (level < 0) return 0;
    return (chainA[level]?.tasks ?? 0) - 1 <= (chainB[level]?.tasks ?? 0) ? -1 : 1;
  }

  /** Brings the best member to its place after its score has become another. */
  fixBest(): void {
    this.#innermost()?.open.fixTop();
  }

  /** The best member got one task more of the service. */
  noteTask(): void {
    const innermost = this.#innermost();
    innermost?.open.fixTop();
    for (let group = innermost; group !== undefined; group = group.parent) {
      group.tasks += 1;
      group.parent?.open.fixTop();
    }
  }

  /** Makes a node a member that is none. */
  push(node: number): void {
    let group = this.#groupOf(node);
    let item = node;
    while (group.open.size === 0 && group.parent !== undefined) {
      group.open.push(item);
      item = group.place;
      group = group.parent;
    }
    group.open.push(item);
  }

  #innermost(): Group | undefined {
    let group = this.#root;
    for (let level = 0; level < this.#columns.length; level++) {
      const place = group.open.top();
      const next = place === undefined ? undefined : group.groups[place];
      if (next === undefined) return undefined;
      group = next;
    }
    return group;
  }

  #groupOf(node: number): Group {
    let group = this.#root;
    for (let level = 0; level < this.#columns.length; level++) {
      const column = this.#columns[level];
      const value = column?.values[node] ?? 0;
      let inner = group.byValue[value];
      if (inner === undefined) {
        inner = this.#newGroup(column?.texts[value] ?? "", group, level + 1);
        group.byValue[value] = inner;
        group.groups.push(inner);
      }
      group = inner;
    }
    return group;
  }

  /** Brings what is in a group into order; answers whether it has any member. */
  #orderGroups(group: Group): boolean {
    for (const inner of group.groups) {
      if (this.#orderGroups(inner)) group.open.append(inner.place);
    }
    group.open.order();
    return group.open.size > 0;
  }

  #newGroup(text: string, parent: Group | undefined, level: number, open?: Heap): Group {
    const groups: Group[] = [];
    const isInnermost = level === this.#columns.length;
    const isEmptiest: Before = (a, b) => isEmptier(groups[a], groups[b]);
    return {
      tasks: 0,
      draw: mix32(hashText(text), this.#seed),
      text,
      parent,
      byValue: [],
      groups,
      place: parent?.groups.length ?? 0,
      open: open ?? new Heap(isInnermost ? this.#before : isEmptiest),
    };
  }
}

/** The group and those around it, the outermost first. */
function chainOf(innermost: Group): Group[] {
  const chain: Group[] = [];
  for (let at: Group | undefined = innermost; at !== undefined; at = at.parent) chain.push(at);
  return chain.reverse();
}

function isEmptier(a: Group | undefined, b: Group | undefined): boolean {
  assert(a !== undefined && b !== undefined, "only groups that are there are compared");
  if (a.tasks !== b.tasks) return a.tasks < b.tasks;
  return a.draw === b.draw ? a.text < b.text : a.draw < b.draw;
}
