import type { CLUSTER_ID, Cluster } from "./cluster.ts";
import type { ItemId, NodeId, ServiceId, TaskId, TokenId } from "./ids.ts";
import type { Content, Item } from "./item.ts";
import type { Node } from "./node.ts";
import type { Service } from "./service.ts";
import type { Stack } from "./stack.ts";
import type { Task } from "./task.ts";
import type { Token } from "./token.ts";
import type { Upgrade, UPGRADE_ID } from "./upgrade.ts";
import type { Vault, VAULT_ID } from "./vault.ts";

/** Every kind of object that the store holds, with the type of its key. */
export interface Objects {
  cluster: { key: typeof CLUSTER_ID; value: Cluster };
  vault: { key: typeof VAULT_ID; value: Vault };
  upgrade: { key: typeof UPGRADE_ID; value: Upgrade };
  token: { key: TokenId; value: Token };
  node: { key: NodeId; value: Node };
  stack: { key: string; value: Stack };
  service: { key: ServiceId; value: Service };
  task: { key: TaskId; value: Task };
  item: { key: ItemId; value: Item };
  content: { key: string; value: Content };
}
export type Kind = keyof Objects;

/**
 * One write. A put carries the object with the `version` at which it was read (0 for a new one);
 * a store that holds another version refuses the whole commit.
 */
export type Put = { [K in Kind]: { kind: K; op: "put"; value: Objects[K]["value"] } }[Kind];
export type Delete = {
  [K in Kind]: { kind: K; op: "delete"; key: Objects[K]["key"]; version: number };
}[Kind];
export type Change = Put | Delete;

/** One write as it happened: what was there, what is there now. */
export type Applied = {
  [K in Kind]: {
    kind: K;
    before: Objects[K]["value"] | undefined;
    after: Objects[K]["value"] | undefined;
  };
}[Kind];

export const put = {
  cluster: (value: Cluster): Change => ({ kind: "cluster", op: "put", value }),
  vault: (value: Vault): Change => ({ kind: "vault", op: "put", value }),
  upgrade: (value: Upgrade): Change => ({ kind: "upgrade", op: "put", value }),
  token: (value: Token): Change => ({ kind: "token", op: "put", value }),
  node: (value: Node): Change => ({ kind: "node", op: "put", value }),
  stack: (value: Stack): Change => ({ kind: "stack", op: "put", value }),
  service: (value: Service): Change => ({ kind: "service", op: "put", value }),
  task: (value: Task): Change => ({ kind: "task", op: "put", value }),
  item: (value: Item): Change => ({ kind: "item", op: "put", value }),
  content: (value: Content): Change => ({ kind: "content", op: "put", value }),
};

export const remove = {
  token: (t: Token): Change => ({ kind: "token", op: "delete", key: t.id, version: t.version }),
  node: (n: Node): Change => ({ kind: "node", op: "delete", key: n.id, version: n.version }),
  stack: (s: Stack): Change => ({ kind: "stack", op: "delete", key: s.name, version: s.version }),
  service: (s: Service): Change => ({
    kind: "service",
    op: "delete",
    key: s.id,
    version: s.version,
  }),
  task: (t: Task): Change => ({ kind: "task", op: "delete", key: t.id, version: t.version }),
  item: (i: Item): Change => ({ kind: "item", op: "delete", key: i.id, version: i.version }),
  content: (c: Content): Change => ({
    kind: "content",
    op: "delete",
    key: c.id,
    version: c.version,
  }),
};

/** The key under which a put is stored. */
export function keyOf(change: Change): string {
  if (change.op === "delete") return change.key;
  return change.kind === "stack" ? change.value.name : change.value.id;
}
