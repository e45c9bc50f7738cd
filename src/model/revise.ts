import { equalJson } from "../lib/order.ts";
import { isUnderWay, type Rollout } from "./rollout.ts";
import {
  currentRevision,
  isJob,
  isOfTemplate,
  REVISIONS_KEPT,
  sameTemplate,
  specOf,
  type Revision,
  type Service,
  type ServiceSpec,
} from "./service.ts";
import type { Task } from "./task.ts";

/** What is told of a service's tasks when it gets a revision. */
export type KnownTask = Pick<Task, "revision" | "slot">;

/**
 * The service with `spec` as its newest revision, or the very same object when nothing changes.
 * Forgets revisions older than the ten before it that none of `tasks`, the service's, came from. A
 * spec that needs new tasks begins a rollout, in place of one that is under way.
 * @param now milliseconds since 1970
 */
export function revise(
  service: Service,
  spec: ServiceSpec,
  now: number,
  tasks: readonly KnownTask[],
): Service {
  const head = currentRevision(service);
  if (equalJson(head.spec, spec)) return service;
  const revision = head.revision + 1;
  const inUse = new Set(tasks.map((task) => task.revision));
  const older = service.revisions.filter((r, i) => i < REVISIONS_KEPT || inUse.has(r.revision));
  // What needs no new tasks runs the image that is there.
  const pins = sameTemplate(head.spec, spec) ? head.pins : undefined;
  const newest: Revision = { revision, at: now, spec, ...(pins === undefined ? {} : { pins }) };
  const next = { ...service, revisions: [newest, ...older] };
  if (sameTemplate(head.spec, spec)) return withRules(next, spec);
  const alike = older.filter((r) => sameTemplate(r.spec, spec)).map((r) => r.revision);
  const { rollout: _, alike: __, ...rest } = next;
  const made: Service = {
    ...rest,
    templateRevision: revision,
    ...(alike.length === 0 ? {} : { alike }),
  };
  const rollout = newRollout(service, made, now, tasks);
  return rollout === undefined ? made : { ...made, rollout };
}

/** The rollout that brings the slots of `after` to its template; none where nothing ever was. */
function newRollout(
  before: Service,
  after: Service,
  now: number,
  tasks: readonly KnownTask[],
): Rollout | undefined {
  const outdated = tasks.filter((task) => !isOfTemplate(after, task.revision));
  const slots = new Set(outdated.map((task) => task.slot)).size;
  if (slots === 0 || isJob(specOf(after))) return undefined;
  const { rollout: rules } = specOf(after);
  const locked = rules?.lock === true;
  const state = rules?.canary === undefined ? "running" : "canary";
  return {
    state: locked ? "paused" : state,
    from: lastGood(before),
    to: after.templateRevision,
    startedAt: now,
    slots,
    failed: [],
    forgiven: [],
    ...(locked ? { locked } : {}),
    message: locked ? LOCKED : "",
  };
}

const LOCKED = "its file locks it: `orchd rollout resume --unlock` lets it begin";

/** The revision that a rollout in place of another one goes back to when it fails. */
function lastGood(service: Service): number {
  const { rollout } = service;
  const isUnproven = isUnderWay(rollout) && rollout.back === undefined;
  const isKept = service.revisions.some((r) => r.revision === rollout?.from);
  return isUnproven && isKept ? rollout.from : currentRevision(service).revision;
}

/** A rollout under way goes on under the new rules: without a lock, if the file has none now. */
function withRules(service: Service, spec: ServiceSpec): Service {
  const { rollout } = service;
  if (rollout?.locked !== true || spec.rollout?.lock === true) return service;
  return { ...service, rollout: letGo(rollout, spec) };
}

/** The rollout as it goes on when nothing stops it. */
export function letGo(rollout: Rollout, spec: ServiceSpec): Rollout {
  const { locked: _, ...rest } = rollout;
  const waits = spec.rollout?.canary !== undefined && rollout.promoted !== true;
  return { ...rest, state: waits ? "canary" : "running", message: "" };
}

/** The image goes back as well: to what it was then, whatever its tag names by now. */
function withPinsOf(service: Service, { pins }: Revision): Service {
  const [head, ...older] = service.revisions;
  if (head === undefined || pins === undefined) return service;
  return { ...service, revisions: [{ ...head, pins }, ...older] };
}

export interface UndoOptions {
  by: "failure" | "person";
  /** One sentence for people, without its full stop. */
  why: string;
  /** Milliseconds since 1970. */
  now: number;
  /** The service's tasks. */
  tasks: readonly KnownTask[];
}

/**
 * The service at an older revision again, as a new revision with that one's very spec; the very
 * same object when nothing differs.
 */
export function undo(service: Service, to: Revision, options: UndoOptions): Service {
  const { by, why, now, tasks } = options;
  const from = currentRevision(service).revision;
  const revised = revise(service, to.spec, now, tasks);
  if (revised === service) return service;
  const next = withPinsOf(revised, to);
  if (next.templateRevision === service.templateRevision || isJob(to.spec)) return next;
  const rollout: Rollout = {
    state: "rolling-back",
    from,
    to: next.templateRevision,
    startedAt: now,
    slots: next.rollout?.slots ?? 0,
    failed: [],
    forgiven: [],
    back: by,
    message: why,
  };
  return { ...next, rollout };
}
