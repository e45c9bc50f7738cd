import { equalJson } from "../../lib/order.ts";
import { assignmentSchema, type AssignmentSet } from "../../model/assignment.ts";
import type { NodeId, TaskId } from "../../model/ids.ts";
import { type Identity, identitySchema } from "../../model/join.ts";
import type { NetworkMap } from "../../model/network-map.ts";
import { type TaskStatus, taskStatusSchema } from "../../model/task.ts";
import { classifyDatabaseError, type DatabaseFile } from "../database-errors.ts";
import { closeRefused, type Db, openDatabaseFile } from "../database-file.ts";
import { refuseMalformed } from "../well-formed.ts";
import { loadRows } from "./load.ts";
import { hasSameMap, mapFromRows, rowsOfMap } from "./network-rows.ts";
import { type AgentRows, prepareStatements, type Statements } from "./rows.ts";
import { agentTable } from "./schema.ts";

/**
 * Opens what one agent remembers, and makes it where there is no file yet.
 * @throws OrchdError `conflict` when another agent holds the file, `damaged` when it is not what
 * orchd wrote, `noSpace`, `forbidden`; the file is untouched then
 */
export function openAgentState(path: string): AgentState {
  const file: DatabaseFile = { path, owner: "agent" };
  const db = openDatabaseFile(file, (fresh) => {
    fresh.insert(agentTable).values({ id: 1 }).run();
  });
  try {
    return new AgentState(file, db, loadRows(file, db));
  } catch (error) {
    // A row that can't be read: whoever repairs the file finds it as it was.
    closeRefused(file, db.$client);
    throw classifyDatabaseError(file, error);
  }
}

/**
 * What an agent must know to go on by itself after a power cut. Reads come from memory. Each save
 * is one transaction that returns once it would survive a power cut, writes only rows that differ
 * from what is there, and writes nothing when none does.
 * Each save throws OrchdError `noSpace` when the disk is full; nothing is changed then.
 */
export class AgentState {
  readonly #file: DatabaseFile;
  readonly #db: Db;
  readonly #rows: AgentRows;
  readonly #statements: Statements;

  constructor(file: DatabaseFile, db: Db, rows: AgentRows) {
    this.#file = file;
    this.#db = db;
    this.#rows = rows;
    this.#statements = prepareStatements(db);
  }

  /** Which node this machine is; absent before it first joined a cluster. */
  loadNodeId(): NodeId | undefined {
    return this.#rows.nodeId;
  }

  saveNodeId(nodeId: NodeId): void {
    if (nodeId === this.#rows.nodeId) return;
    this.#write(() => this.#statements.setNodeId.run({ nodeId }));
    this.#rows.nodeId = nodeId;
  }

  /** The key (PEM) that stands for this node; there before the machine has joined. */
  loadKey(): string | undefined {
    return this.#rows.key;
  }

  /** Saves the key before it is used. Who the machine was with another key is forgotten. */
  saveKey(key: string): void {
    if (key === this.#rows.key) return;
    this.#write(() => this.#statements.putIdentity.run({ key, body: null }));
    this.#rows.key = key;
    this.#rows.identity = undefined;
  }

  /** Who this machine is in its cluster; absent before it joined one. */
  loadIdentity(): Identity | undefined {
    return this.#rows.identity;
  }

  /** Saves the identity with its key, and the id of the node that goes with it. */
  saveIdentity(identity: Identity): void {
    if (equalJson(identity, this.#rows.identity)) return;
    refuseMalformed(identitySchema, identity, "identity");
    const { key, nodeId } = identity;
    this.#write(() => {
      this.#statements.putIdentity.run({ key, body: JSON.stringify(identity) });
      this.#statements.setNodeId.run({ nodeId });
    });
    this.#rows.key = key;
    this.#rows.identity = identity;
    this.#rows.nodeId = nodeId;
  }

  /** A time that has passed for certain, in ms since 1970; absent until one was saved. */
  loadClockFloor(): number | undefined {
    return this.#rows.clockFloor;
  }

  saveClockFloor(clockFloor: number): void {
    if (clockFloor === this.#rows.clockFloor) return;
    this.#write(() => this.#statements.setClockFloor.run({ clockFloor }));
    this.#rows.clockFloor = clockFloor;
  }

  /** The set that was saved last; absent before the first one. */
  assignments(): AssignmentSet | undefined {
    const { generation, assignments } = this.#rows;
    if (generation === undefined) return undefined;
    return { generation, assignments: [...assignments.values()] };
  }

  saveAssignments(set: AssignmentSet): void {
    const before = this.#rows.assignments;
    const after = new Map(set.assignments.map((one) => [one.taskId, one]));
    const gone = [...before.keys()].filter((taskId) => !after.has(taskId));
    const changed = [...after.values()].filter((one) => !equalJson(before.get(one.taskId), one));
    const { generation } = set;
    if (gone.length + changed.length === 0 && generation === this.#rows.generation) return;
    this.#write(() => {
      for (const taskId of gone) this.#statements.deleteAssignment.run({ taskId });
      for (const one of changed) {
        refuseMalformed(assignmentSchema, one, "assignment");
        this.#statements.putAssignment.run({ taskId: one.taskId, body: JSON.stringify(one) });
      }
      this.#statements.setGeneration.run({ generation });
    });
    this.#rows.generation = generation;
    this.#rows.assignments = after;
  }

  /** What was last observed of each task that still matters. */
  statuses(): TaskStatus[] {
    return [...this.#rows.statuses.values()];
  }

  saveStatus(statuses: readonly TaskStatus[]): void {
    const { statuses: before } = this.#rows;
    const changed = statuses.filter((one) => !equalJson(before.get(one.taskId), one));
    if (changed.length === 0) return;
    this.#write(() => {
      for (const one of changed) {
        refuseMalformed(taskStatusSchema, one, "status");
        this.#statements.putStatus.run({ taskId: one.taskId, body: JSON.stringify(one) });
      }
    });
    for (const one of changed) before.set(one.taskId, one);
  }

  deleteStatus(taskIds: readonly TaskId[]): void {
    this.#deleteFrom(this.#rows.statuses, taskIds, (taskId) => {
      this.#statements.deleteStatus.run({ taskId });
    });
  }

  /** The map of the cluster's network that was saved last; absent before the first one. */
  networkMap(): NetworkMap | undefined {
    return mapFromRows(this.#rows.network);
  }

  /** A map that differs in its generation alone is not written. */
  saveNetworkMap(map: NetworkMap): void {
    const before = this.#rows.network;
    const after = rowsOfMap(map);
    if (hasSameMap(before, after)) return;
    const gone = [...before.keys()].filter((key) => !after.has(key));
    const changed = [...after].filter(([key, row]) => !equalJson(before.get(key), row));
    this.#write(() => {
      for (const key of gone) this.#statements.deleteNetwork.run({ key });
      for (const [key, row] of changed) {
        this.#statements.putNetwork.run({ key, body: JSON.stringify(row) });
      }
    });
    this.#rows.network = after;
  }

  /** Ids of the contents that are kept here, sealed. */
  contentIds(): string[] {
    return [...this.#rows.contents];
  }

  /** What was saved, as it was sealed; read from the disk. */
  loadContent(id: string): string | undefined {
    if (!this.#rows.contents.has(id)) return undefined;
    return this.#statements.getContent.get({ id })?.sealed;
  }

  /** @param sealed base 64: nothing that anybody could read */
  saveContent(id: string, sealed: string): void {
    this.#write(() => this.#statements.putContent.run({ id, sealed }));
    this.#rows.contents.add(id);
  }

  deleteContents(ids: readonly string[]): void {
    const held = ids.filter((id) => this.#rows.contents.has(id));
    if (held.length === 0) return;
    this.#write(() => held.forEach((id) => this.#statements.deleteContent.run({ id })));
    for (const id of held) this.#rows.contents.delete(id);
  }

  close(): void {
    this.#db.$client.close(true);
  }

  #deleteFrom(
    rows: Map<TaskId, unknown>,
    taskIds: readonly TaskId[],
    deleteRow: (taskId: TaskId) => void,
  ): void {
    const held = taskIds.filter((taskId) => rows.has(taskId));
    if (held.length === 0) return;
    this.#write(() => held.forEach(deleteRow));
    for (const taskId of held) rows.delete(taskId);
  }

  /** Memory follows the file: callers change `#rows` after this has returned. */
  #write(run: () => void): void {
    try {
      this.#db.transaction(run);
    } catch (error) {
      // The transaction is rolled back by then; SQLite's words become one sentence of ours.
      throw classifyDatabaseError(this.#file, error);
    }
  }
}
