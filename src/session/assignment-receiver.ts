import { sortedBy } from "../lib/order.ts";
import type { Assignment, AssignmentSet } from "../model/assignment.ts";
import type { TaskId } from "../model/ids.ts";
import type { AssignmentsFrame } from "./frames.ts";

/** Puts a node's assignment set together again from what arrives of it in one session. */
export class AssignmentReceiver {
  #set: AssignmentSet | undefined;
  #part: { generation: number; assignments: Map<TaskId, Assignment> } | undefined;

  /**
   * Takes a frame. Answers the set when it is complete, `more` when further frames are on their
   * way, `unknownBase` when it changes a set that is not here: the whole one is to be asked for.
   */
  take(frame: AssignmentsFrame): AssignmentSet | "more" | "unknownBase" {
    const { generation, changed, removed, more } = frame;
    const assignments = this.#begin(frame);
    if (assignments === undefined) return "unknownBase";
    for (const taskId of removed) assignments.delete(taskId);
    for (const assignment of changed) assignments.set(assignment.taskId, assignment);
    this.#part = more ? { generation, assignments } : undefined;
    if (more) return "more";
    this.#set = { generation, assignments: sortedBy(assignments.values(), (one) => one.taskId) };
    return this.#set;
  }

  /** What the frame builds on: the parts before it, the last set, or nothing. */
  #begin({ generation, base }: AssignmentsFrame): Map<TaskId, Assignment> | undefined {
    if (this.#part?.generation === generation) return this.#part.assignments;
    if (base === undefined) return new Map();
    if (base !== this.#set?.generation) return undefined;
    return new Map(this.#set.assignments.map((one) => [one.taskId, one]));
  }
}
