import { hashText } from "../../lib/random.ts";
import type { Applied } from "../../model/change.ts";
import type { NodeId, ServiceId } from "../../model/ids.ts";
import type { Node } from "../../model/node.ts";
import { specAt, type Service, type ServiceSpec } from "../../model/service.ts";
import { occupiesNode, type Task } from "../../model/task.ts";
import type { View } from "../../model/view.ts";
import { addTask, count, emptyLoad, isFailedAttempt, removeTask, revisionKey } from "./load.ts";
import type { NodeLoad } from "./load.ts";

/** A node with what its tasks take of it. */
export interface LoadedNode {
  readonly id: NodeId;
  /** 32 bits of the id, for draws. */
  readonly hash: number;
  /** Undefined where tasks name a node that is not there (any more). */
  node: Node | undefined;
  readonly load: NodeLoad;
  /** The shares of processors and of memory that are reserved, added up: 0 to 2. */
  used: number;
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
  readonly #byId = new Map<NodeId, LoadedNode>();
  readonly #byService = new Map<ServiceId, Map<LoadedNode, number>>();
  readonly #services = new Map<ServiceId, Service>();

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

  /** Takes in one change, in the order of the view. */
  note(applied: Applied, view: View): void {
    switch (applied.kind) {
      case "node":
        return this.#noteNode(applied.before, applied.after);
      case "service":
        return this.#noteService(applied.before, applied.after, view);
      case "task":
        if (applied.before !== undefined) this.#noteTask(applied.before, -1);
        if (applied.after !== undefined) this.#noteTask(applied.after, 1);
        return undefined;
      case "token":
      case "cluster":
      case "stack":
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
    at.used = usedShare(at.node, at.load);
    let counts = this.#byService.get(serviceId);
    if (counts === undefined) this.#byService.set(serviceId, (counts = new Map()));
    count(counts, at, by);
    if (counts.size === 0) this.#byService.delete(serviceId);
  }

  #noteTask(task: Task, by: 1 | -1): void {
    if (task.nodeId === undefined) return;
    const isFailed = isFailedAttempt(task);
    const service = occupiesNode(task) ? this.#services.get(task.serviceId) : undefined;
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

  #noteNode(before: Node | undefined, after: Node | undefined): void {
    const node = after ?? before;
    if (node === undefined) return;
    const at = this.#at(node.id);
    at.node = after;
    at.used = usedShare(after, at.load);
    if (after !== undefined && at.index < 0) at.index = this.nodes.push(at) - 1;
    if (after === undefined && at.index >= 0) this.#takeOut(at);
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
    const fresh: LoadedNode = {
      id,
      hash: hashText(id),
      node: undefined,
      load: emptyLoad(),
      used: 0,
      index: -1,
    };
    this.#byId.set(id, fresh);
    return fresh;
  }

  /** The last node takes its place. */
  #takeOut(at: LoadedNode): void {
    const last = this.nodes.pop();
    if (last !== undefined && last !== at) {
      this.nodes[at.index] = last;
      last.index = at.index;
    }
    at.index = -1;
  }

  #forgetEmpty(at: LoadedNode): void {
    if (at.node !== undefined || at.load.tasks > 0 || at.load.failures.size > 0) return;
    this.#byId.delete(at.id);
  }
}

const NONE: ReadonlyMap<LoadedNode, number> = new Map();

function usedShare(node: Node | undefined, load: NodeLoad): number {
  if (node === undefined) return 0;
  const { cpuMillis, memoryBytes } = node.resources;
  return load.cpuMillis / Math.max(1, cpuMillis) + load.memoryBytes / Math.max(1, memoryBytes);
}
