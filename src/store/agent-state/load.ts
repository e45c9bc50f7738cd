import { z } from "zod";
import { assignmentSchema } from "../../model/assignment.ts";
import { nodeIdSchema, taskIdSchema, type TaskId } from "../../model/ids.ts";
import { identitySchema } from "../../model/join.ts";
import { taskStatusSchema } from "../../model/task.ts";
import { damagedError, type DatabaseFile } from "../database-errors.ts";
import type { Db } from "../database-file.ts";
import { parseMapRow, type MapRow } from "./network-rows.ts";
import type { AgentRows } from "./rows.ts";
import {
  agentTable,
  assignmentTable,
  contentTable,
  identityTable,
  networkTable,
  statusTable,
} from "./schema.ts";

/** Reads the whole file; each row must be what its schema says. Throws `damaged` otherwise. */
export function loadRows(file: DatabaseFile, db: Db): AgentRows {
  const agent = db.select().from(agentTable).get();
  if (agent === undefined) throw damagedError(file, " in table agent");
  const assignments = db.select().from(assignmentTable).all();
  const statuses = db.select().from(statusTable).all();
  const identity = db.select().from(identityTable).get();
  return {
    nodeId: parse(file, "agent", "", () =>
      nodeIdSchema.optional().parse(agent.nodeId ?? undefined),
    ),
    key: identity?.key,
    identity: parse(file, "identity", "", () =>
      identitySchema.optional().parse(JSON.parse(identity?.body ?? "null") ?? undefined),
    ),
    generation: agent.generation ?? undefined,
    clockFloor: agent.clockFloor ?? undefined,
    assignments: mapOf(file, "assignment", assignments, (row) =>
      withId(row.taskId, assignmentSchema.parse(JSON.parse(row.body))),
    ),
    contents: new Set(
      db
        .select({ id: contentTable.id })
        .from(contentTable)
        .all()
        .map(({ id }) => id),
    ),
    statuses: mapOf(file, "status", statuses, (row) =>
      withId(row.taskId, taskStatusSchema.parse(JSON.parse(row.body))),
    ),
    network: networkRows(file, db),
  };
}

function networkRows(file: DatabaseFile, db: Db): Map<string, MapRow> {
  const found = new Map<string, MapRow>();
  for (const { key, body } of db.select().from(networkTable).all()) {
    parse(file, "network", key, () => found.set(key, parseMapRow(key, JSON.parse(body))));
  }
  return found;
}

function mapOf<Row extends { taskId: string }, Value>(
  file: DatabaseFile,
  table: string,
  rows: readonly Row[],
  parseValue: (row: Row) => Value,
): Map<TaskId, Value> {
  const found = new Map<TaskId, Value>();
  for (const row of rows) {
    parse(file, table, row.taskId, () =>
      found.set(taskIdSchema.parse(row.taskId), parseValue(row)),
    );
  }
  return found;
}

function withId<Value extends { taskId: TaskId }>(key: string, value: Value): Value {
  if (value.taskId !== key) throw new Error("its body belongs to another task");
  return value;
}

function parse<Value>(file: DatabaseFile, table: string, key: string, run: () => Value): Value {
  try {
    return run();
  } catch (error) {
    // Broken JSON and a broken shape are one thing to the reader: this row is not what was written.
    const cause = error instanceof z.ZodError ? new Error(z.prettifyError(error)) : error;
    const row = key === "" ? "" : `, row ${JSON.stringify(key.slice(0, 64))}`;
    throw damagedError(file, ` in table ${table}${row}`, cause);
  }
}
