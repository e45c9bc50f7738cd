import { eq, sql } from "drizzle-orm";
import type { Applied, Kind } from "../../model/change.ts";
import type { Db } from "../database-file.ts";
import { TABLES } from "./objects.ts";
import { metaTable } from "./schema.ts";

/** The hot statements, compiled once. */
export type Statements = ReturnType<typeof prepareStatements>;

export function prepareStatements(db: Db) {
  const writers = {
    cluster: prepareWriter(db, "cluster"),
    vault: prepareWriter(db, "vault"),
    upgrade: prepareWriter(db, "upgrade"),
    token: prepareWriter(db, "token"),
    node: prepareWriter(db, "node"),
    stack: prepareWriter(db, "stack"),
    service: prepareWriter(db, "service"),
    task: prepareWriter(db, "task"),
    item: prepareWriter(db, "item"),
    content: prepareWriter(db, "content"),
  };
  const setRevision = db
    .update(metaTable)
    .set({ revision: sql`${sql.placeholder("revision")}` })
    .where(eq(metaTable.id, 1))
    .prepare();
  return { writers, setRevision };
}

function prepareWriter(db: Db, kind: Kind) {
  const table = TABLES[kind];
  const put = db
    .insert(table)
    .values({
      key: sql.placeholder("key"),
      version: sql.placeholder("version"),
      body: sql.placeholder("body"),
    })
    .onConflictDoUpdate({
      target: table.key,
      set: { version: sql`excluded.version`, body: sql`excluded.body` },
    })
    .prepare();
  const remove = db
    .delete(table)
    .where(eq(table.key, sql.placeholder("key")))
    .prepare();
  return { put, remove };
}

/** Writes one change as it happened. Inside a transaction; synchronous on purpose. */
export function writeApplied(statements: Statements, applied: Applied): void {
  const { kind, before, after } = applied;
  const writer = statements.writers[kind];
  if (after !== undefined) {
    const body = JSON.stringify(after);
    writer.put.run({ key: keyOfObject(after), version: after.version, body });
  } else if (before !== undefined) {
    writer.remove.run({ key: keyOfObject(before) });
  }
}

type Stored = NonNullable<Applied["after"]>;

/** Stacks are the only objects without an id: their name is their key. */
function keyOfObject(object: Stored): string {
  return "id" in object ? object.id : object.name;
}
