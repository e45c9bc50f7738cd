import { equalJson } from "../../lib/order.ts";
import { isTerminal, rankOf, type TaskState, type TaskStatus } from "../../model/task.ts";
import type { Assignment } from "../../model/assignment.ts";
import type { Limits } from "../../model/container.ts";
import { formatExit } from "./exit.ts";

/** As much of a container as deciding needs. */
export interface FoundContainer {
  state: "created" | "running" | "exited";
  startedAt?: number;
  finishedAt?: number;
  exitCode?: number;
  outOfMemory?: boolean;
  address?: string;
  /** What it was last held to; absent while that is what it was made with, or nobody knows. */
  limits?: Limits;
}

/** What a node knows of one task; undefined parts are not there. */
export interface TaskOnNode {
  /** What the node was told; undefined when the task is not wanted here any more. */
  assignment?: Assignment | undefined;
  /** What the node last said of it. */
  status?: TaskStatus | undefined;
  container?: FoundContainer | undefined;
  /** Whether it gets no traffic before somebody has found it ready. */
  isHeld?: boolean;
  /** Whether the container whose network it shares does not run any more. */
  isCutOff?: boolean;
}

/** The single next thing to do for a task. */
export type Step =
  /** Make ready what the container needs (image, volumes, ports), then make the container. */
  | { type: "create" }
  | { type: "start" }
  | { type: "stop"; graceMs: number }
  /** Hold what runs to other limits than it was made with. */
  | { type: "limit"; limits: Limits }
  /** Remove the container, running or not. */
  | { type: "remove" }
  /** Say that the task reached a state; the node's record of it changes with that. */
  | { type: "report"; status: TaskStatus }
  /** Nothing of it is left here: drop the record. */
  | { type: "forget" };

/**
 * One step towards what is wanted, or undefined when nothing is to do. A step is derived from what
 * is found alone, so that an agent that was killed between any two steps goes on where it was.
 * @param now milliseconds since 1970
 */
export function planStep(task: TaskOnNode, now: number): Step | undefined {
  const { assignment, status, container, isHeld = false, isCutOff = false } = task;
  if (assignment === undefined) {
    if (container !== undefined) return { type: "remove" };
    return status === undefined ? undefined : { type: "forget" };
  }
  switch (assignment.desired) {
    case "prepared":
      return stepToPrepared(assignment, status, container, now);
    case "running":
      return stepToRunning(assignment, { status, container, isHeld, isCutOff }, now);
    case "shutdown":
      return stepToShutdown(assignment, status, container, now);
    case "removed":
      return stepToRemoved(assignment, status, container, now);
  }
}

/** All that comes before a start. Whatever happens, the start itself is somebody else's order. */
function stepToPrepared(
  assignment: Assignment,
  status: TaskStatus | undefined,
  container: FoundContainer | undefined,
  now: number,
): Step | undefined {
  const state = furthest(assignment.state, status?.state);
  if (container?.state !== "created" || rankOf(state) >= rankOf("prepared")) {
    const isWhole = container?.state === "created" && !isTerminal(state);
    return isWhole
      ? undefined
      : stepToRunning(assignment, { status, container, isHeld: false, isCutOff: false }, now);
  }
  return report(assignment, "prepared", now);
}

type Running = Pick<TaskOnNode, "status" | "container"> & { isHeld: boolean; isCutOff: boolean };

function stepToRunning(
  assignment: Assignment,
  { status, container, isHeld, isCutOff }: Running,
  now: number,
): Step | undefined {
  const state = furthest(assignment.state, status?.state);
  if (isTerminal(state)) {
    // Its slot has gone on to another task: this is somebody else's start, or one of ours whose
    // answer was lost.
    return container?.state === "running" ? stop(assignment) : undefined;
  }
  // Whoever let it stand still lets it go on.
  if (status?.held !== undefined && container !== undefined) return undefined;
  switch (container?.state) {
    case undefined:
      if (rankOf(state) >= rankOf("starting")) {
        return report(assignment, "failed", now, "its container was removed by somebody else");
      }
      if (rankOf(state) < rankOf("preparing")) return report(assignment, "preparing", now);
      return { type: "create" };
    case "created":
      if (rankOf(state) >= rankOf("running")) {
        return report(assignment, "failed", now, "its container lost its state, as after a reboot");
      }
      if (isCutOff && rankOf(state) < rankOf("starting")) return { type: "remove" };
      if (isCutOff) return report(assignment, "failed", now, cutOffMessage(assignment));
      return rankOf(state) < rankOf("starting")
        ? reportStarting(assignment, container, now)
        : { type: "start" };
    case "running":
      if (status?.state !== "running") return reportRunning(assignment, container, isHeld, now);
      if (status.ending === true) return stop(assignment);
      return isCutOff ? reportCutOff(assignment, status) : stepToLimits(assignment, container);
    case "exited":
      return reportExit(assignment, container, now, status?.ending === true ? status : undefined);
  }
}

function stepToLimits({ limits }: Assignment, container: FoundContainer): Step | undefined {
  if (limits === undefined || equalJson(limits, container.limits)) return undefined;
  return { type: "limit", limits };
}

function stepToShutdown(
  assignment: Assignment,
  status: TaskStatus | undefined,
  container: FoundContainer | undefined,
  now: number,
): Step | undefined {
  if (container?.state === "running") return stop(assignment);
  if (isTerminal(furthest(assignment.state, status?.state))) return undefined;
  return reportShutdown(assignment, container, now);
}

function stepToRemoved(
  assignment: Assignment,
  status: TaskStatus | undefined,
  container: FoundContainer | undefined,
  now: number,
): Step | undefined {
  if (container?.state === "running") return stop(assignment);
  if (container !== undefined) return { type: "remove" };
  const state = furthest(assignment.state, status?.state);
  if (state === "removed") return undefined;
  return isTerminal(state)
    ? report(assignment, "removed", now)
    : reportShutdown(assignment, container, now);
}

function stop({ container }: Assignment): Step {
  return { type: "stop", graceMs: container.stopGraceMs };
}

function furthest(a: TaskState, b: TaskState | undefined): TaskState {
  return b !== undefined && rankOf(b) > rankOf(a) ? b : a;
}

function report(assignment: Assignment, state: TaskState, now: number, message = ""): Step {
  const finished = isTerminal(state) ? { finishedAt: now } : {};
  return {
    type: "report",
    status: { taskId: assignment.taskId, state, health: "none", message, since: now, ...finished },
  };
}

/** With its address, so that others know the task before its program begins. */
function reportStarting(assignment: Assignment, container: FoundContainer, now: number): Step {
  const step = report(assignment, "starting", now);
  const { address } = container;
  if (step.type !== "report" || address === undefined) return step;
  return { ...step, status: { ...step.status, address } };
}

function reportRunning(
  assignment: Assignment,
  container: FoundContainer,
  isHeld: boolean,
  now: number,
): Step {
  const waits = isHeld || awaitedPorts(assignment, container).length > 0;
  return {
    type: "report",
    status: {
      taskId: assignment.taskId,
      state: "running",
      health: waits ? "starting" : "none",
      message: "",
      since: now,
      startedAt: container.startedAt ?? now,
      ...(container.address === undefined ? {} : { address: container.address }),
    },
  };
}

/** What ends for want of a network is ended as what is unhealthy is. */
function reportCutOff(assignment: Assignment, status: TaskStatus): Step {
  const message = cutOffMessage(assignment);
  return { type: "report", status: { ...status, health: "unhealthy", message, ending: true } };
}

function cutOffMessage({ stack, container }: Assignment): string {
  return `the task of ${stack}/${container.networkOf ?? ""} whose network it shared has ended`;
}

/** The ports on which a task is to take connections before it counts as ready. */
export function awaitedPorts(assignment: Assignment, container: FoundContainer): number[] {
  if (container.address === undefined) return [];
  const tcp = assignment.ports.filter((port) => port.protocol === "tcp");
  return [...new Set([...tcp.map((port) => port.target), ...(assignment.requestPorts ?? [])])];
}

/** @param ended what was said of it when the node ended it for its health */
function reportExit(
  assignment: Assignment,
  container: FoundContainer,
  now: number,
  ended: TaskStatus | undefined,
): Step {
  const exitCode = container.exitCode ?? 0;
  return {
    type: "report",
    status: {
      taskId: assignment.taskId,
      state: exitCode === 0 && ended === undefined ? "complete" : "failed",
      health: "none",
      message: ended?.message ?? formatExit(exitCode, container.outOfMemory === true),
      since: now,
      finishedAt: container.finishedAt ?? now,
      exitCode,
      ...(container.startedAt === undefined ? {} : { startedAt: container.startedAt }),
    },
  };
}

function reportShutdown(
  assignment: Assignment,
  container: FoundContainer | undefined,
  now: number,
): Step {
  const exitCode = container?.state === "exited" ? container.exitCode : undefined;
  return {
    type: "report",
    status: {
      taskId: assignment.taskId,
      state: "shutdown",
      health: "none",
      message: "",
      since: now,
      finishedAt: container?.finishedAt ?? now,
      ...(exitCode === undefined ? {} : { exitCode }),
    },
  };
}
