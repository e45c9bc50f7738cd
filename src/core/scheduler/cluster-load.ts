import { hashText } from "../../lib/random.ts";
import type { Applied } from "../../model/change.ts";
import { nodeValue } from "../../model/constraint.ts";
import type { NodeId, ServiceId } from "../../model/ids.ts";
import type { Node } from "../../model/node.ts";
import { specAt, type Service, type ServiceSpec } from "../../model/service.ts";
import { isStaged, occupiesNode, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { addTask, count, emptyLoad, isFailedAttempt, removeTask, revisionKey } from "./load.ts";
import { shareRoom, slotKey, tasksAt, type Counted, type NodeLoad } from "./load.ts";
import { VerdictCache } from "./verdicts.ts";

/** A node with what its tasks take of it. */
export interface LoadedNode {
  readonly id: NodeId;
  /** 32 bits of the id, for draws. */
  readonly hash: number;
  /** Undefined where tasks name a node that is not there (any more). */
  node: Node | undefined;
  readonly load: NodeLoad;
  /** Its place in `ClusterLoad.nodes`, or -1 when it is not there. */
  index: number;
}

/**
 * What all tasks take of all nodes, kept up to date by each change of the view that it follows. It
 * is what a new one would be that follows the same view.
 */
export class ClusterLoad {
  /** The nodes of the cluster, in no order. */
  readonly nodes: LoadedNode[] = [];
  /** What scores go by, by the place of a node in `nodes`. */
  readonly columns = new LoadColumns();
  readonly verdicts = new VerdictCache();
  readonly #values = new Map<string, ValueColumn>();
  readonly #byId = new Map<NodeId, LoadedNode>();
  readonly #byService = new Map<ServiceId, Map<LoadedNode, number>>();
  readonly #services = new Map<ServiceId, Service>();
  /** By slot and node: tasks that are only to be made ready, as they are counted. */
  readonly #staged = new Map<string, Counted[]>();

  /** Answers how to stop following as well. */
  static follow(view: View): { load: ClusterLoad; stop: () => void } {
    const load = new ClusterLoad();
    const stop = view.follow((applied, at) => load.note(applied, at));
    return { load, stop };
  }

  /** The loads by a view as it stands now. */
  static of(view: View): ClusterLoad {
    const { load, stop } = ClusterLoad.follow(view);
    stop();
    return load;
  }

  /** The node, where it is there or was ever counted on. */
  get(id: NodeId): LoadedNode | undefined {
    return this.#byId.get(id);
  }

  /** How many tasks of the service the nodes hold, those that hold none left out. */
  countsOf(id: ServiceId): ReadonlyMap<LoadedNode, number> {
    return this.#byService.get(id) ?? NONE;
  }

  /** What all nodes have under a key by which tasks are spread; kept from the first time on. */
  valuesOf(key: string): ValueColumn {
    let column = this.#values.get(key);
    if (column === undefined) {
      if (this.#values.size >= VALUE_COLUMNS_MAX) this.#values.clear();
      column = new ValueColumn(key);
      this.#values.set(key, column);
      for (const at of this.nodes) column.set(at);
    }
    return column;
  }

  /** Takes in one change, in the order of the view. */
  note(applied: Applied, view: View): void {
    switch (applied.kind) {
      case "node":
        return this.#noteNode(applied.before, applied.after);
      case "service":
        return this.#noteService(applied.before, applied.after, view);
      case "task":
        if (applied.before !== undefined) this.#noteTask(applied.before, -1, view);
        if (applied.after !== undefined) this.#noteTask(applied.after, 1, view);
        return undefined;
      case "token":
      case "cluster":
      case "stack":
      case "vault":
      case "upgrade":
      case "item":
      case "content":
        return undefined;
    }
  }

  /** Counts a task on a node, as if it had been put there. */
  add(at: LoadedNode, task: Task, spec: ServiceSpec): void {
    addTask(at.load, task, spec);
    this.#count(at, task.serviceId, 1);
  }

  /** Counts a task on a node no more. */
  remove(at: LoadedNode, task: Task, spec: ServiceSpec): void {
    removeTask(at.load, task, spec);
    this.#count(at, task.serviceId, -1);
  }

  #count(at: LoadedNode, serviceId: ServiceId, by: 1 | -1): void {
    this.columns.set(at);
    let counts = this.#byService.get(serviceId);
    if (counts === undefined) {
      counts = new Map();
      this.#byService.set(serviceId, counts);
    }
    count(counts, at, by);
    if (counts.size === 0) this.#byService.delete(serviceId);
  }

  #noteTask(task: Task, by: 1 | -1, view: View): void {
    if (task.nodeId === undefined) return;
    const staged = isStaged(task);
    if (staged || this.#staged.size > 0) this.#shareAnew(task, task.nodeId, view);
    const isFailed = isFailedAttempt(task);
    const counts = occupiesNode(task) && !staged;
    const service = counts ? this.#services.get(task.serviceId) : undefined;
    if (!isFailed && service === undefined) return;
    const at = this.#at(task.nodeId);
    if (isFailed) count(at.load.failures, revisionKey(task), by);
    if (service !== undefined) {
      const spec = specAt(service, task.revision);
      if (by === 1) this.add(at, task, spec);
      else this.remove(at, task, spec);
    }
    this.#forgetEmpty(at);
  }

  /**
   * What is staged counts beside others of its slot on its node, and anew with each change of them.
   * Nobody else of the slot is asked: there are few on a node.
   */
  #shareAnew(changed: Task, nodeId: NodeId, view: View): void {
    const { serviceId, slot } = changed;
    const key = `${slotKey(changed)}/${nodeId}`;
    const known = this.#staged.get(key);
    if (known === undefined && !isStaged(changed)) return;
    const tasks = tasksAt(view, { serviceId, slot, nodeId });
    const isAny = tasks.some(isStaged);
    const at = this.#at(nodeId);
    for (const { task, spec } of known ?? []) this.remove(at, task, spec);
    const service = this.#services.get(serviceId);
    if (service === undefined || !isAny) this.#staged.delete(key);
    else {
      const { counted } = shareRoom(service, tasks);
      for (const { task, spec } of counted) this.add(at, task, spec);
      this.#staged.set(key, counted);
    }
    this.#forgetEmpty(at);
  }

  #noteNode(before: Node | undefined, after: Node | undefined): void {
    const node = after ?? before;
    if (node === undefined) return;
    const at = this.#at(node.id);
    at.node = after;
    if (after !== undefined && at.index < 0) at.index = this.nodes.push(at) - 1;
    if (after === undefined && at.index >= 0) this.#takeOut(at);
    this.#takeDown(at);
    this.#forgetEmpty(at);
  }

  /** Tasks count by the revision that they came from, or by the newest one where it is not kept. */
  #noteService(before: Service | undefined, after: Service | undefined, view: View): void {
    const id = (after ?? before)?.id;
    if (id === undefined) return;
    if (after === undefined) this.#services.delete(id);
    else this.#services.set(id, after);
    if (before?.revisions === after?.revisions) return;
    for (const task of view.tasksOf(id)) {
      if (!occupiesNode(task) || task.nodeId === undefined) continue;
      if (isStaged(task)) {
        this.#shareAnew(task, task.nodeId, view);
        continue;
      }
      const old = before && specAt(before, task.revision);
      const fresh = after && specAt(after, task.revision);
      if (old === fresh) continue;
      const at = this.#at(task.nodeId);
      if (old !== undefined) this.remove(at, task, old);
      if (fresh !== undefined) this.add(at, task, fresh);
      this.#forgetEmpty(at);
    }
  }

  #at(id: NodeId): LoadedNode {
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    const load = emptyLoad();
    const fresh = { id, hash: hashText(id), node: undefined, load, index: -1 };
    this.#byId.set(id, fresh);
    return fresh;
  }

  /** The last node takes its place. */
  #takeOut(at: LoadedNode): void {
    const last = this.nodes.pop();
    if (last !== undefined && last !== at) {
      this.nodes[at.index] = last;
      last.index = at.index;
      this.#takeDown(last);
    }
    at.index = -1;
  }

  #takeDown(at: LoadedNode): void {
    if (at.index < 0) return;
    this.columns.set(at);
    this.verdicts.forget(at.index);
    for (const column of this.#values.values()) column.set(at);
  }

  #forgetEmpty(at: LoadedNode): void {
    if (at.node !== undefined || at.load.tasks > 0 || at.load.failures.size > 0) return;
    this.#byId.delete(at.id);
  }
}

const NONE: ReadonlyMap<LoadedNode, number> = new Map();

/** More keys than a cluster spreads by; they are read anew when there are more. */
const VALUE_COLUMNS_MAX = 32;

/** A few numbers of each node, side by side: what is read of all nodes for each group of tasks. */
export class LoadColumns {
  /** The shares of processors and of memory that are reserved, added up: 0 to 2. */
  used = new Float64Array(0);
  tasks = new Int32Array(0);
  /** 32 bits of the id, for draws. */
  hash = new Int32Array(0);

  /** Takes down a node that has a place. */
  set({ index, node, load, hash }: LoadedNode): void {
    if (index < 0 || node === undefined) return;
    if (index >= this.used.length) this.#grow(index + 1);
    const { cpuMillis, memoryBytes } = node.resources;
    this.used[index] =
      load.cpuMillis / Math.max(1, cpuMillis) + load.memoryBytes / Math.max(1, memoryBytes);
    this.tasks[index] = load.tasks;
    this.hash[index] = hash;
  }

  #grow(nodes: number): void {
    const { used, tasks, hash } = this;
    const room = nodes + (nodes >> 1) + 16;
    this.used = new Float64Array(room);
    this.tasks = new Int32Array(room);
    this.hash = new Int32Array(room);
    this.used.set(used);
    this.tasks.set(tasks);
    this.hash.set(hash);
  }
}

/** What each node has under one key, as a number that stands for the text. */
export class ValueColumn {
  /** By the place of a node: which of `texts` it has. */
  readonly values: number[] = [];
  readonly texts: string[] = [];
  readonly #key: string;
  readonly #numbers = new Map<string, number>();

  constructor(key: string) {
    this.#key = key;
  }

  set({ index, node }: LoadedNode): void {
    if (index < 0 || node === undefined) return;
    const text = nodeValue(node, this.#key) ?? "";
    let number = this.#numbers.get(text);
    if (number === undefined) {
      number = this.texts.push(text) - 1;
      this.#numbers.set(text, number);
    }
    this.values[index] = number;
  }
}
