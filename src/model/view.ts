import type { Applied, Change, Kind, Objects } from "./change.ts";
import { keyOf } from "./change.ts";
import { CLUSTER_ID, type Cluster } from "./cluster.ts";
import type { ItemId, NodeId, ServiceId, TaskId, TokenId } from "./ids.ts";
import { type Content, type Item, itemKeyOf, type ItemKind } from "./item.ts";
import type { Node } from "./node.ts";
import type { Service } from "./service.ts";
import type { Stack } from "./stack.ts";
import type { Task } from "./task.ts";
import type { Token } from "./token.ts";
import { type Upgrade, UPGRADE_ID } from "./upgrade.ts";
import { type Vault, VAULT_ID } from "./vault.ts";

/**
 * The whole state, read by everything that decides. Objects in it are never changed in place. A
 * view is read within one synchronous turn and not kept across an `await`: each commit moves it.
 */
export interface View {
  /** The revision of the last commit that it holds. */
  readonly version: number;
  /** Absent until the first start of a server has made it. */
  readonly cluster: Cluster | undefined;
  /** Absent until the first start of a server that knows secrets has made it. */
  readonly vault: Vault | undefined;
  /** Absent until orchd was upgraded from here. */
  readonly upgrade: Upgrade | undefined;
  readonly tokens: ReadonlyMap<TokenId, Token>;
  readonly nodes: ReadonlyMap<NodeId, Node>;
  readonly stacks: ReadonlyMap<string, Stack>;
  readonly services: ReadonlyMap<ServiceId, Service>;
  readonly tasks: ReadonlyMap<TaskId, Task>;
  readonly items: ReadonlyMap<ItemId, Item>;
  /** By `contentIdOf`. */
  readonly contents: ReadonlyMap<string, Content>;
  serviceNamed(stack: string, name: string): Service | undefined;
  itemNamed(kind: ItemKind, name: string): Item | undefined;
  servicesOf(stack: string): readonly Service[];
  tasksOf(service: ServiceId): readonly Task[];
  tasksOn(node: NodeId): readonly Task[];
  /**
   * Tells of all nodes, tasks and services that are there, each as if it were new, and then of each
   * change in the moment in which the view has it, changes that are taken back included. Answers
   * how to stop.
   */
  follow(follower: Follower): () => void;
}

/** Hears of one change, which `view` holds. */
export type Follower = (applied: Applied, view: View) => void;

/** A view with its indexes, moved forward by whole commits. */
export class MemoryView implements View {
  version = 0;
  readonly tokens = new Map<TokenId, Token>();
  readonly nodes = new Map<NodeId, Node>();
  readonly stacks = new Map<string, Stack>();
  readonly services = new Map<ServiceId, Service>();
  readonly tasks = new Map<TaskId, Task>();
  readonly items = new Map<ItemId, Item>();
  readonly contents = new Map<string, Content>();
  /** One at most. */
  readonly #clusters = new Map<string, Cluster>();
  /** One at most. */
  readonly #vaults = new Map<string, Vault>();
  /** One at most. */
  readonly #upgrades = new Map<string, Upgrade>();
  readonly #itemByName = new Map<string, Item>();
  readonly #serviceByName = new Map<string, Service>();
  readonly #servicesByStack = new Index<string, ServiceId>();
  readonly #tasksByService = new Index<ServiceId, TaskId>();
  readonly #tasksByNode = new Index<NodeId, TaskId>();
  readonly #followers = new Set<Follower>();
  readonly #maps = {
    cluster: this.#clusters,
    vault: this.#vaults,
    upgrade: this.#upgrades,
    token: this.tokens,
    node: this.nodes,
    stack: this.stacks,
    service: this.services,
    task: this.tasks,
    item: this.items,
    content: this.contents,
  };

  get cluster(): Cluster | undefined {
    return this.#clusters.get(CLUSTER_ID);
  }

  get vault(): Vault | undefined {
    return this.#vaults.get(VAULT_ID);
  }

  get upgrade(): Upgrade | undefined {
    return this.#upgrades.get(UPGRADE_ID);
  }

  itemNamed(kind: ItemKind, name: string): Item | undefined {
    return this.#itemByName.get(itemKeyOf(kind, name));
  }

  serviceNamed(stack: string, name: string): Service | undefined {
    return this.#serviceByName.get(`${stack}/${name}`);
  }

  servicesOf(stack: string): readonly Service[] {
    return resolve(this.#servicesByStack.get(stack), this.services);
  }

  tasksOf(service: ServiceId): readonly Task[] {
    return resolve(this.#tasksByService.get(service), this.tasks);
  }

  tasksOn(node: NodeId): readonly Task[] {
    return resolve(this.#tasksByNode.get(node), this.tasks);
  }

  follow(follower: Follower): () => void {
    const tell = (kind: "node" | "service" | "task", values: Iterable<unknown>) => {
      for (const after of values) follower({ kind, before: undefined, after } as Applied, this);
    };
    tell("node", this.nodes.values());
    // A follower that looks from a service to its tasks has heard of those then.
    tell("task", this.tasks.values());
    tell("service", this.services.values());
    this.#followers.add(follower);
    return () => void this.#followers.delete(follower);
  }

  /** The first change that was planned on an object which has moved since, if there is one. */
  conflictIn(changes: readonly Change[]): Change | undefined {
    return changes.find((change) => {
      const expected = change.op === "put" ? change.value.version : change.version;
      return (this.#current(change.kind, keyOf(change))?.version ?? 0) !== expected;
    });
  }

  /** Applies changes that do not conflict, as revision `version`; answers what became of each. */
  apply(changes: readonly Change[], version: number): Applied[] {
    this.version = version;
    return changes.map((change) => {
      const before = this.#current(change.kind, keyOf(change));
      const after = change.op === "put" ? { ...change.value, version } : undefined;
      const applied = { kind: change.kind, before, after } as Applied;
      this.#set(applied);
      return applied;
    });
  }

  /** Takes back what `apply` answered, the newest first. */
  revert(applied: readonly Applied[], version: number): void {
    this.version = version;
    for (const { kind, before, after } of applied.toReversed()) {
      this.#set({ kind, before: after, after: before } as Applied);
    }
  }

  #current<K extends Kind>(kind: K, key: string): Objects[K]["value"] | undefined {
    return (this.#maps[kind] as ReadonlyMap<string, Objects[K]["value"]>).get(key);
  }

  #set(applied: Applied): void {
    this.#put(applied);
    for (const follower of this.#followers) follower(applied, this);
  }

  #put(applied: Applied): void {
    switch (applied.kind) {
      case "cluster":
        return replace(this.#clusters, applied, (cluster) => cluster.id);
      case "vault":
        return replace(this.#vaults, applied, (vault) => vault.id);
      case "upgrade":
        return replace(this.#upgrades, applied, (upgrade) => upgrade.id);
      case "token":
        return replace(this.tokens, applied, (token) => token.id);
      case "node":
        return replace(this.nodes, applied, (node) => node.id);
      case "stack":
        return replace(this.stacks, applied, (stack) => stack.name);
      case "service":
        return this.#setService(applied);
      case "task":
        return this.#setTask(applied);
      case "item":
        return this.#setItem(applied);
      case "content":
        return replace(this.contents, applied, (content) => content.id);
    }
  }

  #setService(applied: Extract<Applied, { kind: "service" }>): void {
    const { before, after } = applied;
    if (before !== undefined) {
      this.#servicesByStack.delete(before.stack, before.id);
      this.#serviceByName.delete(`${before.stack}/${before.name}`);
    }
    if (after !== undefined) {
      this.#servicesByStack.add(after.stack, after.id);
      this.#serviceByName.set(`${after.stack}/${after.name}`, after);
    }
    replace(this.services, applied, (service) => service.id);
  }

  #setItem(applied: Extract<Applied, { kind: "item" }>): void {
    const { before, after } = applied;
    if (before !== undefined) this.#itemByName.delete(itemKeyOf(before.kind, before.name));
    if (after !== undefined) this.#itemByName.set(itemKeyOf(after.kind, after.name), after);
    replace(this.items, applied, (item) => item.id);
  }

  #setTask(applied: Extract<Applied, { kind: "task" }>): void {
    const { before, after } = applied;
    if (before?.serviceId !== after?.serviceId) {
      if (before !== undefined) this.#tasksByService.delete(before.serviceId, before.id);
      if (after !== undefined) this.#tasksByService.add(after.serviceId, after.id);
    }
    if (before?.nodeId !== after?.nodeId) {
      if (before?.nodeId !== undefined) this.#tasksByNode.delete(before.nodeId, before.id);
      if (after?.nodeId !== undefined) this.#tasksByNode.add(after.nodeId, after.id);
    }
    replace(this.tasks, applied, (task) => task.id);
  }
}

/** Which keys belong to a group; empty groups are not kept. */
class Index<Group, Key> {
  readonly #groups = new Map<Group, Set<Key>>();

  get(group: Group): ReadonlySet<Key> | undefined {
    return this.#groups.get(group);
  }

  add(group: Group, key: Key): void {
    const keys = this.#groups.get(group);
    if (keys === undefined) this.#groups.set(group, new Set([key]));
    else keys.add(key);
  }

  delete(group: Group, key: Key): void {
    const keys = this.#groups.get(group);
    keys?.delete(key);
    if (keys?.size === 0) this.#groups.delete(group);
  }
}

function resolve<K, V>(keys: ReadonlySet<K> | undefined, values: ReadonlyMap<K, V>): V[] {
  const found: V[] = [];
  for (const key of keys ?? []) {
    const value = values.get(key);
    if (value !== undefined) found.push(value);
  }
  return found;
}

function replace<K, V>(
  map: Map<K, V>,
  change: { before: V | undefined; after: V | undefined },
  keyOfValue: (value: V) => K,
): void {
  if (change.after !== undefined) map.set(keyOfValue(change.after), change.after);
  else if (change.before !== undefined) map.delete(keyOfValue(change.before));
}
