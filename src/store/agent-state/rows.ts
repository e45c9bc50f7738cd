import { eq, sql } from "drizzle-orm";
import type { Assignment } from "../../model/assignment.ts";
import type { NodeId, TaskId } from "../../model/ids.ts";
import type { Identity } from "../../model/join.ts";
import type { TaskStatus } from "../../model/task.ts";
import type { Db } from "../database-file.ts";
import type { MapRow } from "./network-rows.ts";
import {
  agentTable,
  assignmentTable,
  contentTable,
  identityTable,
  networkTable,
  statusTable,
} from "./schema.ts";

/** Everything that the file holds, in memory. */
export interface AgentRows {
  nodeId: NodeId | undefined;
  /** The node's key (PEM), which is there before the machine has joined. */
  key: string | undefined;
  /** Absent until the machine has joined. */
  identity: Identity | undefined;
  /** Absent until the first assignment set has come. */
  generation: number | undefined;
  /** Milliseconds since 1970; absent until a server told the time. */
  clockFloor: number | undefined;
  assignments: Map<TaskId, Assignment>;
  statuses: Map<TaskId, TaskStatus>;
  /** The network's map by key; empty until one has come. */
  network: Map<string, MapRow>;
  /** Which contents there are: they themselves, large and rarely read, stay on the disk. */
  contents: Set<string>;
}

export type Statements = ReturnType<typeof prepareStatements>;

export function prepareStatements(db: Db) {
  const taskId = sql.placeholder("taskId");
  const body = sql.placeholder("body");
  const contentId = sql.placeholder("id");
  return {
    putAssignment: db
      .insert(assignmentTable)
      .values({ taskId, body })
      .onConflictDoUpdate({ target: assignmentTable.taskId, set: { body: sql`excluded.body` } })
      .prepare(),
    deleteAssignment: db
      .delete(assignmentTable)
      .where(eq(assignmentTable.taskId, taskId))
      .prepare(),
    putStatus: db
      .insert(statusTable)
      .values({ taskId, body })
      .onConflictDoUpdate({ target: statusTable.taskId, set: { body: sql`excluded.body` } })
      .prepare(),
    deleteStatus: db.delete(statusTable).where(eq(statusTable.taskId, taskId)).prepare(),
    putNetwork: db
      .insert(networkTable)
      .values({ key: sql.placeholder("key"), body })
      .onConflictDoUpdate({ target: networkTable.key, set: { body: sql`excluded.body` } })
      .prepare(),
    deleteNetwork: db
      .delete(networkTable)
      .where(eq(networkTable.key, sql.placeholder("key")))
      .prepare(),
    putContent: db
      .insert(contentTable)
      .values({ id: contentId, sealed: sql.placeholder("sealed") })
      .onConflictDoUpdate({ target: contentTable.id, set: { sealed: sql`excluded.sealed` } })
      .prepare(),
    getContent: db.select().from(contentTable).where(eq(contentTable.id, contentId)).prepare(),
    deleteContent: db.delete(contentTable).where(eq(contentTable.id, contentId)).prepare(),
    putIdentity: db
      .insert(identityTable)
      .values({ id: 1, key: sql.placeholder("key"), body })
      .onConflictDoUpdate({
        target: identityTable.id,
        set: { key: sql`excluded.key`, body: sql`excluded.body` },
      })
      .prepare(),
    setNodeId: db
      .update(agentTable)
      .set({ nodeId: sql`${sql.placeholder("nodeId")}` })
      .prepare(),
    setGeneration: db
      .update(agentTable)
      .set({ generation: sql`${sql.placeholder("generation")}` })
      .prepare(),
    setClockFloor: db
      .update(agentTable)
      .set({ clockFloor: sql`${sql.placeholder("clockFloor")}` })
      .prepare(),
  };
}
