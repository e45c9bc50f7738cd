import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core";

/** One row: which node this machine is, and how far its assignments go. */
export const agentTable = sqliteTable("agent", {
  id: integer("id").primaryKey(),
  nodeId: text("node_id"),
  /** Absent until the first assignment set has come. */
  generation: integer("generation"),
});

/** A row for each assignment, so that a change to one task writes one row. */
export const assignmentTable = sqliteTable("assignment", {
  taskId: text("task_id").primaryKey(),
  body: text("body").notNull(),
});

export const statusTable = sqliteTable("status", {
  taskId: text("task_id").primaryKey(),
  body: text("body").notNull(),
});
