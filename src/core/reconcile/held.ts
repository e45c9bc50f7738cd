import {
  currentRevision,
  isJob,
  isOfTemplate,
  sameTemplate,
  specAt,
  specOf,
} from "../../model/service.ts";
import type { Service } from "../../model/service.ts";
import { runOfSlot } from "../../model/slot-name.ts";
import { isStaged, readySince, type Task } from "../../model/task.ts";

/**
 * The revision that a slot is to stay at for now, because the rollout under way may not begin it:
 * the one that was ready there last, or for a new slot the one that the service was at. Undefined
 * where the newest revision goes. What has begun goes on.
 */
export function heldAt(service: Service, slot: string, tasks: readonly Task[]): number | undefined {
  const { rollout } = service;
  if (rollout === undefined || !holds(service, slot)) return undefined;
  if (tasks.some((task) => task.revision >= rollout.to)) return undefined;
  const byAge = tasks.toSorted((a, b) => b.attempt - a.attempt || b.createdAt - a.createdAt);
  const known = byAge.filter((task) => !isStaged(task));
  const latest = known.find((task) => readySince(task) !== undefined) ?? known[0];
  const revision = latest?.revision ?? rollout.from;
  const isKept = service.revisions.some((kept) => kept.revision === revision);
  return isKept && !isOfTemplate(service, revision) ? revision : undefined;
}

function holds({ rollout }: Service, slot: string): boolean {
  switch (rollout?.state) {
    case "paused":
    case "waiting-for-window":
      return true;
    case "canary":
      return rollout.canaries?.includes(slot) !== true;
    default:
      return false;
  }
}

/**
 * Whether the task may stay as it is. A run of a scheduled job goes on as it began; of any other
 * job each revision has a run of its own, also one that is like an earlier one.
 */
export function isCurrent(service: Service, task: Task): boolean {
  if (runOfSlot(task.slot) !== undefined) return true;
  if (isJob(specOf(service))) return task.revision >= service.templateRevision;
  return isOfTemplate(service, task.revision);
}

/** Whether a task of a slot is of the template that the slot is to have now. */
export function isOfSlot(service: Service, heldRevision: number | undefined, task: Task): boolean {
  if (heldRevision === undefined) return isCurrent(service, task);
  if (task.revision === heldRevision) return true;
  return sameTemplate(specAt(service, task.revision), specAt(service, heldRevision));
}

/** The revision that a new task of a slot gets. */
export function revisionFor(service: Service, heldRevision: number | undefined): number {
  return heldRevision ?? currentRevision(service).revision;
}
