import type { z } from "zod";
import type { Kind, Objects } from "../../model/change.ts";
import { clusterSchema } from "../../model/cluster.ts";
import { nodeSchema } from "../../model/node.ts";
import { serviceSchema } from "../../model/service.ts";
import { stackSchema } from "../../model/stack.ts";
import { taskSchema } from "../../model/task.ts";
import { tokenSchema } from "../../model/token.ts";
import {
  clusterTable,
  nodeTable,
  serviceTable,
  stackTable,
  taskTable,
  tokenTable,
} from "./schema.ts";

export const KINDS: readonly Kind[] = ["cluster", "token", "node", "stack", "service", "task"];

export const TABLES = {
  cluster: clusterTable,
  token: tokenTable,
  node: nodeTable,
  stack: stackTable,
  service: serviceTable,
  task: taskTable,
} as const;

export const SCHEMAS: { [K in Kind]: z.ZodType<Objects[K]["value"]> } = {
  cluster: clusterSchema,
  token: tokenSchema,
  node: nodeSchema,
  stack: stackSchema,
  service: serviceSchema,
  task: taskSchema,
};
