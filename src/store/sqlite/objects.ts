import type { z } from "zod";
import type { Kind, Objects } from "../../model/change.ts";
import { nodeSchema } from "../../model/node.ts";
import { serviceSchema } from "../../model/service.ts";
import { stackSchema } from "../../model/stack.ts";
import { taskSchema } from "../../model/task.ts";
import { nodeTable, serviceTable, stackTable, taskTable } from "./schema.ts";

export const KINDS: readonly Kind[] = ["node", "stack", "service", "task"];

export const TABLES = {
  node: nodeTable,
  stack: stackTable,
  service: serviceTable,
  task: taskTable,
} as const;

export const SCHEMAS: { [K in Kind]: z.ZodType<Objects[K]["value"]> } = {
  node: nodeSchema,
  stack: stackSchema,
  service: serviceSchema,
  task: taskSchema,
};
