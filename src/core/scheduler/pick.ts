import type { NodeId } from "../../model/ids.ts";
import type { Node } from "../../model/node.ts";
import { specAt, specOf, type Strategy } from "../../model/service.ts";
import type { View } from "../../model/view.ts";
import { unmetWishes } from "./affinity.ts";
import type { Candidate } from "./candidate.ts";
import type { ClusterLoad, LoadedNode } from "./cluster-load.ts";
import { firstRefusal, loadFiltersFor, STATIC_FILTERS } from "./filters.ts";
import type { TaskGroup } from "./group.ts";
import { revisionKey } from "./load.ts";
import { Scores } from "./score.ts";
import { sieve } from "./sieve.ts";
import { SpreadTree } from "./spread-tree.ts";
import type { Verdicts } from "./verdicts.ts";

/** What is known of nodes beside the view. */
export interface Knowledge {
  /** Whether a node runs, but can't be told of a task for now: any other is better. */
  isOutOfTouch?: ((nodeId: NodeId) => boolean) | undefined;
  /** Whether a node has the image, so that nothing needs to be fetched. */
  hasImage?: ((nodeId: NodeId, image: string) => boolean) | undefined;
  /** How tasks are placed whose service says nothing of it; absent: `spread`. */
  strategy?: Strategy | undefined;
}

/** What a run of the scheduler goes by. */
export interface Run {
  view: View;
  load: ClusterLoad;
  knowledge: Knowledge;
}

/** From so many failures on a revision is taken to keep failing on a node. */
const FAILURES_MIN = 2;

/**
 * All nodes that fit stand in one of these; a later one is used when the ones before are empty.
 * Those that leave wishes about other services unmet stand in between, by how many these are.
 */
const GOOD = 0;
const FAILING = 1000;
const OUT_OF_TOUCH = 1001;
const TIERS = [GOOD, FAILING, OUT_OF_TOUCH];

/**
 * Finds nodes for the tasks of one group, one after the other. The best node by score is looked at
 * first, and only then judged by filters, so that those that are never needed cost nothing. A node
 * that refuses is left out from then on: within a group loads only grow.
 */
export class Picker {
  readonly #run: Run;
  readonly #group: TaskGroup;
  readonly #trees: (SpreadTree | undefined)[] = [];
  /** By tier: nodes that were found to belong there before its tree was made. */
  readonly #parked = new Map<number, number[]>();
  readonly #tierOf = new Map<number, number>();
  readonly #seed: number;
  readonly #strategy: Strategy;
  readonly #scores: Scores;
  readonly #loadFilters: ReturnType<typeof loadFiltersFor>;
  /** What no placement changes. */
  readonly #verdicts: Verdicts;
  /** Nodes that were the best once, and are known since. */
  readonly #judged: Uint8Array;
  /** Why a node is left out that would fit but for what it holds. */
  readonly #refusals = new Map<number, string>();

  constructor(run: Run, group: TaskGroup, seed: number) {
    const nodes = run.load.nodes.length;
    this.#run = run;
    this.#group = group;
    this.#seed = seed;
    this.#judged = new Uint8Array(nodes);
    this.#loadFilters = loadFiltersFor(group.spec);
    this.#strategy = group.spec.placement.strategy ?? run.knowledge.strategy ?? "spread";
    this.#scores = new Scores({
      load: run.load,
      serviceId: group.service.id,
      strategy: this.#strategy,
      seed,
      knowsImages: run.knowledge.hasImage !== undefined,
    });
    const { service, first } = group;
    const revision = specAt(service, first.revision);
    const { placement } = group.spec;
    this.#verdicts = run.load.verdicts.of(service.id, revision, placement, nodes);
    const members = sieve(this.#verdicts.members(nodes), placement.constraints, run.load);
    this.#trees[GOOD] = this.#newTree(members);
  }

  /** The node for the candidate, or undefined when all refuse. */
  pick(candidate: Candidate): LoadedNode | undefined {
    for (const nodeId of candidate.slotNodes) this.#reconsider(nodeId);
    for (const tier of tiersFor(candidate)) {
      const best = this.#pickFrom(tier, candidate);
      if (best !== undefined) return this.#staying(candidate, best, tier) ?? best;
    }
    return undefined;
  }

  /**
   * The node of the task that the candidate replaces, where the best one is no emptier without that
   * task: one after the other, replacements would else gather where the scores were even.
   */
  #staying(candidate: Candidate, best: LoadedNode, tier: number): LoadedNode | undefined {
    if (this.#strategy !== "spread" || candidate.stays.length === 0) return undefined;
    const stays = candidate.stays.map((nodeId) => this.#run.load.get(nodeId));
    if (stays.includes(best)) return undefined;
    return stays.find((at) => {
      const node = at?.node;
      if (at === undefined || node === undefined) return false;
      if (this.#tierFor(at, node, candidate) > tier) return false;
      if (this.#staticRefusal(at, node, candidate) !== undefined) return false;
      if (firstRefusal(this.#loadFilters, candidate, node, at.load) !== undefined) return false;
      const order = this.#trees[tier]?.compareGroups(at.index, best.index) ?? 0;
      return order === 0 ? this.#scores.isNoFuller(at.index, best.index) : order < 0;
    });
  }

  /** The node that was picked last got the task, and its load knows. */
  noteTask(at: LoadedNode): void {
    this.#scores.noteTask(at.index);
    this.#trees[this.#tierOf.get(at.index) ?? GOOD]?.noteTask();
  }

  /** How many nodes refuse for which reason, once `pick` has found none for the candidate. */
  refusals(candidate: Candidate): Map<string, number> {
    const { nodes } = this.#run.load;
    for (const at of nodes) {
      const node = this.#judged[at.index] === 0 ? at.node : undefined;
      if (node !== undefined) this.#staticRefusal(at, node, candidate);
    }
    const counts = this.#verdicts.refusals(nodes.length);
    for (const reason of this.#refusals.values()) {
      counts.set(reason, (counts.get(reason) ?? 0) + 1);
    }
    return counts;
  }

  #pickFrom(tier: number, candidate: Candidate): LoadedNode | undefined {
    const parked = this.#parked.get(tier);
    if (parked !== undefined) {
      this.#parked.delete(tier);
      this.#trees[tier] = this.#newTree(Int32Array.from(parked));
    }
    const tree = this.#trees[tier];
    if (tree === undefined) return undefined;
    for (let i = tree.best(); i !== undefined; i = tree.best()) {
      if (this.#judged[i] === 0 && this.#judge(tree, i, tier, candidate) === "moved") continue;
      const at = this.#run.load.nodes[i];
      const node = at?.node;
      const reason =
        node && at ? firstRefusal(this.#loadFilters, candidate, node, at.load) : "is not there";
      if (reason === undefined) return at;
      this.#refusals.set(i, reason);
      tree.dropBest();
    }
    return undefined;
  }

  /** What placements don't change is asked once for each node: its answers may move it. */
  #judge(tree: SpreadTree, i: number, tier: number, candidate: Candidate): "moved" | "stays" {
    this.#judged[i] = 1;
    const at = this.#run.load.nodes[i];
    const node = at?.node;
    const reason = at && node ? this.#staticRefusal(at, node, candidate) : "is not there";
    if (at === undefined || node === undefined || reason !== undefined) {
      tree.dropBest();
      return "moved";
    }
    const isMissing = this.#isImageMissing(at);
    if (isMissing) this.#scores.noteAbsence(i);
    const rightTier = this.#tierFor(at, node, candidate);
    if (rightTier !== tier) {
      this.#tierOf.set(i, rightTier);
      tree.dropBest();
      this.#put(i, rightTier);
      return "moved";
    }
    if (isMissing) tree.fixBest();
    return isMissing ? "moved" : "stays";
  }

  #staticRefusal(at: LoadedNode, node: Node, candidate: Candidate): string | undefined {
    const { index, load } = at;
    return this.#verdicts.of(index, () => firstRefusal(STATIC_FILTERS, candidate, node, load));
  }

  #isImageMissing({ id }: LoadedNode): boolean {
    const { image, runtime } = this.#group.spec.container;
    return runtime !== "process" && this.#run.knowledge.hasImage?.(id, image) === false;
  }

  #tierFor({ id, load }: LoadedNode, node: Node, { bonds }: Candidate): number {
    if (this.#run.knowledge.isOutOfTouch?.(id) === true) return OUT_OF_TOUCH;
    const failures = load.failures.get(revisionKey(this.#group.first)) ?? 0;
    if (failures >= FAILURES_MIN) return FAILING;
    return bonds.length === 0 ? GOOD : unmetWishes(bonds, node);
  }

  #put(i: number, tier: number): void {
    const tree = this.#trees[tier];
    if (tree !== undefined) return tree.push(i);
    const parked = this.#parked.get(tier);
    if (parked === undefined) this.#parked.set(tier, [i]);
    else parked.push(i);
  }

  /** A node that holds a task of the same slot may take the one that replaces it. */
  #reconsider(nodeId: NodeId): void {
    const i = this.#run.load.get(nodeId)?.index ?? -1;
    if (!this.#refusals.delete(i)) return;
    this.#put(i, this.#tierOf.get(i) ?? GOOD);
  }

  #newTree(members: Int32Array): SpreadTree {
    const { load } = this.#run;
    const keys = specOf(this.#group.service).placement.spread;
    return new SpreadTree(members, {
      columns: keys.map((key) => load.valuesOf(key)),
      tasks: load.countsOf(this.#group.service.id),
      before: this.#scores.isBetter,
      seed: this.#seed,
    });
  }
}

/** The tiers in their order: as many in between as the candidate has rules about others. */
function tiersFor({ bonds }: Candidate): readonly number[] {
  if (bonds.length === 0) return TIERS;
  const wishes = Array.from({ length: bonds.length }, (_, i) => GOOD + 1 + i);
  return [GOOD, ...wishes, FAILING, OUT_OF_TOUCH];
}
