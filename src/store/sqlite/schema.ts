import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core";

/**
 * One table for each kind of object. `body` is the object as JSON; it is plain text here and parsed
 * row by row, so that one broken row can be named instead of failing the whole query.
 */
const object = () => ({
  key: text("key").primaryKey(),
  /** The revision of the commit that wrote the row. */
  version: integer("version").notNull(),
  body: text("body").notNull(),
});

export const clusterTable = sqliteTable("cluster", object());
export const vaultTable = sqliteTable("vault", object());
export const upgradeTable = sqliteTable("upgrade", object());
export const tokenTable = sqliteTable("token", object());
export const nodeTable = sqliteTable("node", object());
export const stackTable = sqliteTable("stack", object());
export const serviceTable = sqliteTable("service", object());
export const taskTable = sqliteTable("task", object());
export const itemTable = sqliteTable("item", object());
export const contentTable = sqliteTable("content", object());

/** One row: which cluster this is, and the revision of its last commit. */
export const metaTable = sqliteTable("meta", {
  id: integer("id").primaryKey(),
  clusterId: text("cluster_id").notNull(),
  revision: integer("revision").notNull(),
});
