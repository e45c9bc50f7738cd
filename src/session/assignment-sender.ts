import { equalJson } from "../lib/order.ts";
import type { Assignment, AssignmentSet } from "../model/assignment.ts";
import type { TaskId } from "../model/ids.ts";
import type { AssignmentsFrame } from "./frames.ts";

/** A frame of a set is filled up to this: each arrives soon enough to count as a sign of life. */
const PART_CHARACTERS = 64 * 1024;

/** A set on its way: what of it was not sent yet. */
interface Journey {
  set: AssignmentSet;
  base: number | undefined;
  changed: Assignment[];
  removed: TaskId[];
}

/**
 * Brings assignment sets to one agent. The newest set takes the place of one that waits, so an
 * agent that is slow or dead costs one set of memory. After the first set only what changed
 * travels, where that is less. A set that is on its way is sent to its end: cut short again and
 * again by newer ones, none would ever arrive over a slow link.
 */
export class AssignmentSender {
  #waiting: AssignmentSet | undefined;
  #journey: Journey | undefined;
  #sent: AssignmentSet | undefined;

  offer(set: AssignmentSet): void {
    this.#waiting = set;
  }

  /** The agent does not have what the last change builds on: the newest set goes out whole. */
  sendWhole(): void {
    this.#waiting ??= this.#journey?.set ?? this.#sent;
    this.#journey = undefined;
    this.#sent = undefined;
  }

  /** The next frame, made when there is room for it. */
  next(): string | undefined {
    this.#journey ??= this.#depart();
    const journey = this.#journey;
    if (journey === undefined) return undefined;
    const { set, base, removed } = journey;
    const changed = takePart(journey.changed);
    journey.removed = [];
    const more = journey.changed.length > 0;
    const frame: AssignmentsFrame = {
      type: "assignments",
      generation: set.generation,
      ...(base === undefined ? {} : { base }),
      changed: [],
      removed,
      more,
    };
    if (!more) {
      this.#journey = undefined;
      this.#sent = set;
    }
    // The parts are text already: they are put in where the empty list stands.
    return JSON.stringify(frame).replace('"changed":[]', () => `"changed":[${changed.join(",")}]`);
  }

  #depart(): Journey | undefined {
    const set = this.#waiting;
    this.#waiting = undefined;
    if (set === undefined) return undefined;
    const sent = this.#sent;
    const whole = { set, base: undefined, changed: [...set.assignments], removed: [] };
    if (sent === undefined) return whole;
    const { changed, removed } = changesBetween(sent, set);
    const isLess = changed.length + removed.length < set.assignments.length;
    return isLess ? { set, base: sent.generation, changed, removed } : whole;
  }
}

/** What turns the set `from` into the set `to`. */
export function changesBetween(
  from: AssignmentSet,
  to: AssignmentSet,
): { changed: Assignment[]; removed: TaskId[] } {
  const before = new Map(from.assignments.map((one) => [one.taskId, one]));
  const changed: Assignment[] = [];
  for (const assignment of to.assignments) {
    if (!equalJson(before.get(assignment.taskId), assignment)) changed.push(assignment);
    before.delete(assignment.taskId);
  }
  return { changed, removed: [...before.keys()] };
}

/** Takes one frame's worth from the front, at least one. */
function takePart(assignments: Assignment[]): string[] {
  const part: string[] = [];
  let characters = 0;
  for (const assignment of assignments) {
    const text = JSON.stringify(assignment);
    if (part.length > 0 && characters + text.length > PART_CHARACTERS) break;
    part.push(text);
    characters += text.length;
  }
  assignments.splice(0, part.length);
  return part;
}
