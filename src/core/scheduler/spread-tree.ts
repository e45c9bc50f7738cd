import { assert } from "../../lib/assert.ts";
import { hashText, mix32 } from "../../lib/random.ts";
import { Heap, type Before } from "./heap.ts";

/** What a tree is made of. Nodes are numbers: their places in the cluster's loads. */
export interface SpreadOptions {
  /** How many nodes there are, members or not. */
  nodes: number;
  /** What each level of preferences sees in a node, the outermost first. */
  valuesOf: readonly ((node: number) => string)[];
  /** How many tasks of the service a node holds. */
  tasksOf: (node: number) => number;
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
  readonly value: string;
  readonly parent: Group | undefined;
  readonly byValue: Map<string, Group>;
  /** In the order in which they were found: what `open` counts in. */
  readonly groups: Group[];
  /** Its place in `parent.groups`. */
  readonly place: number;
  /** The groups in it that have members left, or for the innermost its members. */
  open: Heap;
}

/**
 * The members of nested groups, from which the best is taken: it lies in the emptiest group of each
 * level in turn. What a group holds counts on all its nodes, also on those that can't take more.
 */
export class SpreadTree {
  readonly #options: SpreadOptions;
  readonly #root: Group;

  constructor(members: number[], options: SpreadOptions) {
    this.#options = options;
    this.#root = this.#newGroup("", undefined);
    if (options.valuesOf.length === 0) {
      this.#root.open = new Heap(members, options.before);
      return;
    }
    for (let node = 0; node < options.nodes; node++) this.#countNode(node);
    for (const node of members) this.push(node);
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
    for (let level = 0; level < this.#options.valuesOf.length; level++) {
      const place = group.open.top();
      const next = place === undefined ? undefined : group.groups[place];
      if (next === undefined) return undefined;
      group = next;
    }
    return group;
  }

  #countNode(node: number): void {
    const tasks = this.#options.tasksOf(node);
    for (let group: Group | undefined = this.#groupOf(node); group; group = group.parent) {
      group.tasks += tasks;
    }
  }

  #groupOf(node: number): Group {
    let group = this.#root;
    for (const valueOf of this.#options.valuesOf) {
      const value = valueOf(node);
      let inner = group.byValue.get(value);
      if (inner === undefined) {
        inner = this.#newGroup(value, group);
        group.byValue.set(value, inner);
        group.groups.push(inner);
      }
      group = inner;
    }
    return group;
  }

  #newGroup(value: string, parent: Group | undefined): Group {
    const groups: Group[] = [];
    const depth = parent === undefined ? 0 : depthOf(parent) + 1;
    const isInnermost = depth === this.#options.valuesOf.length;
    const before: Before = isInnermost
      ? this.#options.before
      : (a, b) => isEmptier(groups[a], groups[b]);
    return {
      tasks: 0,
      draw: mix32(hashText(value), this.#options.seed),
      value,
      parent,
      byValue: new Map(),
      groups,
      place: parent?.groups.length ?? 0,
      open: new Heap([], before),
    };
  }
}

function depthOf(group: Group): number {
  return group.parent === undefined ? 0 : depthOf(group.parent) + 1;
}

function isEmptier(a: Group | undefined, b: Group | undefined): boolean {
  assert(a !== undefined && b !== undefined, "only groups that are there are compared");
  if (a.tasks !== b.tasks) return a.tasks < b.tasks;
  return a.draw === b.draw ? a.value < b.value : a.draw < b.draw;
}
