import { z } from "zod";
import { type Change, keyOf, type Kind } from "../../model/change.ts";
import { MemoryView } from "../../model/view.ts";
import { damagedError, type DatabaseFile } from "../database-errors.ts";
import type { Db } from "../database-file.ts";
import { KINDS, SCHEMAS, TABLES } from "./objects.ts";
import { metaTable } from "./schema.ts";

export interface Loaded {
  clusterId: string;
  view: MemoryView;
}

/** Reads the whole state; each row must be what its schema says. Throws `damaged` otherwise. */
export function loadState(file: DatabaseFile, db: Db): Loaded {
  const meta = db.select().from(metaTable).get();
  if (meta === undefined) throw damagedError(file, " in table meta");
  const view = new MemoryView();
  for (const kind of KINDS) {
    for (const row of db.select().from(TABLES[kind]).all()) {
      const change = parseRow(file, kind, row);
      if (row.version > meta.revision) throw damagedError(file, placeOf(kind, row.key));
      view.apply([change], row.version);
    }
  }
  view.version = meta.revision;
  return { clusterId: meta.clusterId, view };
}

interface Row {
  key: string;
  version: number;
  body: string;
}

function parseRow(file: DatabaseFile, kind: Kind, row: Row): Change {
  try {
    const value = SCHEMAS[kind].parse(JSON.parse(row.body));
    const change = { kind, op: "put", value } as Change;
    if (keyOf(change) !== row.key) throw damagedError(file, placeOf(kind, row.key));
    return change;
  } catch (error) {
    // Broken JSON and a broken shape are one thing to the reader: this row is not what was written.
    const cause = error instanceof z.ZodError ? new Error(z.prettifyError(error)) : error;
    throw damagedError(file, placeOf(kind, row.key), cause);
  }
}

function placeOf(kind: Kind, key: string): string {
  return ` in table ${kind}, row ${JSON.stringify(key.slice(0, 64))}`;
}
