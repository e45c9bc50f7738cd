import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core";

/** One row: which node this machine is, and how far its assignments go. */
export const agentTable = sqliteTable("agent", {
  id: integer("id").primaryKey(),
  nodeId: text("node_id"),
  /** Absent until the first assignment set has come. */
  generation: integer("generation"),
  /** A time that has passed for certain, in ms since 1970: the machine's clock may say less. */
  clockFloor: integer("clock_floor"),
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

/**
 * The map of the cluster's network, a row for each node, service and task of it, so that a change
 * writes little. The key says which: `node/ID`; the row `map` has what belongs to all of it.
 */
export const networkTable = sqliteTable("network", {
  key: text("key").primaryKey(),
  body: text("body").notNull(),
});

/** What tasks of this node read, sealed with a key that comes from the node's own. */
export const contentTable = sqliteTable("content", {
  /** `ITEM.VERSION` */
  id: text("id").primaryKey(),
  /** Base 64. */
  sealed: text("sealed").notNull(),
});

/** At most one row: the node's key, and after joining all else that makes it a node. */
export const identityTable = sqliteTable("identity", {
  id: integer("id").primaryKey(),
  /** PEM, PKCS 8. On the disk before it is used, so that a second try to join is the same node. */
  key: text("key").notNull(),
  /** Absent until the machine has joined. */
  body: text("body"),
});
