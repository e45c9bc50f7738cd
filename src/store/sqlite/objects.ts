import type { z } from "zod";
import type { Kind, Objects } from "../../model/change.ts";
import { clusterSchema } from "../../model/cluster.ts";
import { contentSchema, itemSchema } from "../../model/item.ts";
import { nodeSchema } from "../../model/node.ts";
import { serviceSchema } from "../../model/service.ts";
import { stackSchema } from "../../model/stack.ts";
import { taskSchema } from "../../model/task.ts";
import { tokenSchema } from "../../model/token.ts";
import { upgradeSchema } from "../../model/upgrade.ts";
import { vaultSchema } from "../../model/vault.ts";
import {
  clusterTable,
  contentTable,
  itemTable,
  nodeTable,
  serviceTable,
  stackTable,
  taskTable,
  tokenTable,
  upgradeTable,
  vaultTable,
} from "./schema.ts";

export const KINDS: readonly Kind[] = [
  "cluster",
  "vault",
  "upgrade",
  "token",
  "node",
  "stack",
  "service",
  "task",
  "item",
  "content",
];

export const TABLES = {
  cluster: clusterTable,
  vault: vaultTable,
  upgrade: upgradeTable,
  token: tokenTable,
  node: nodeTable,
  stack: stackTable,
  service: serviceTable,
  task: taskTable,
  item: itemTable,
  content: contentTable,
} as const;

export const SCHEMAS: { [K in Kind]: z.ZodType<Objects[K]["value"]> } = {
  cluster: clusterSchema,
  vault: vaultSchema,
  upgrade: upgradeSchema,
  token: tokenSchema,
  node: nodeSchema,
  stack: stackSchema,
  service: serviceSchema,
  task: taskSchema,
  item: itemSchema,
  content: contentSchema,
};
