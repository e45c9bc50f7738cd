import { z } from "zod";
import type { Applied } from "./change.ts";
import { formatDisk } from "./disk.ts";
import { NO_RUNS, type JobRuns } from "./job.ts";
import { formatServiceName } from "./names.ts";
import { type Item, type ItemKind, newestVersion } from "./item.ts";
import type { Node } from "./node.ts";
import type { Rollout } from "./rollout.ts";
import { currentRevision, specOf, type Service } from "./service.ts";
import type { Stack } from "./stack.ts";
import { formatTaskName, type Task } from "./task.ts";
import type { Token } from "./token.ts";

export const eventSchema = z.object({
  /** Milliseconds since 1970, by the server's clock. */
  at: z.int(),
  /** The revision of the store that it came with: events resume from here. */
  version: z.int(),
  kind: z.enum([
    "token",
    "node",
    "stack",
    "service",
    "task",
    "secret",
    "config",
    "cluster",
    "volume",
  ]),
  /** `created`, `updated`, `removed`, `run`, or the state that a task or node reached. */
  action: z.string(),
  id: z.string(),
  name: z.string(),
  stack: z.string().optional(),
  message: z.string(),
});
export type Event = z.infer<typeof eventSchema>;

/** What happened and left no object of the store behind, such as a backup. */
export const happeningSchema = z.object({
  kind: z.enum(["cluster", "volume"]),
  action: z.string().max(64),
  /** The name of the volume; of the cluster its id. */
  name: z.string().max(255),
  message: z.string().max(1000),
});
/** Told at once at most. */
export const HAPPENINGS_MAX = 64;
export type Happening = z.infer<typeof happeningSchema>;

/** What people want to hear of one write, or nothing when it changed nothing that shows. */
export function eventOf(applied: Applied, at: number, version: number): Event | undefined {
  // What a cluster and its vault are made of are keys, contents are secret, and how far an upgrade
  // is shows at its nodes.
  if (isHidden(applied)) return undefined;
  const told = tell(applied);
  const kind = applied.kind === "item" ? itemKindOf(applied) : applied.kind;
  return told === undefined ? undefined : { at, version, kind, ...told };
}

type Told = Omit<Event, "at" | "version" | "kind">;

type Hidden = Extract<Applied, { kind: "cluster" | "vault" | "content" | "upgrade" }>;

function isHidden(applied: Applied): applied is Hidden {
  return ["cluster", "vault", "content", "upgrade"].includes(applied.kind);
}

function itemKindOf({ before, after }: Extract<Applied, { kind: "item" }>): ItemKind {
  return (after ?? before)?.kind ?? "secret";
}

function tell(applied: Exclude<Applied, Hidden>): Told | undefined {
  switch (applied.kind) {
    case "token":
      return tellToken(applied.before, applied.after);
    case "task":
      return tellTask(applied.before, applied.after);
    case "service":
      return tellService(applied.before, applied.after);
    case "stack":
      return tellStack(applied.before, applied.after);
    case "node":
      return tellNode(applied.before, applied.after);
    case "item":
      return tellItem(applied.before, applied.after);
  }
}

function tellToken(before: Token | undefined, after: Token | undefined): Told | undefined {
  const token = after ?? before;
  if (token === undefined) return undefined;
  const about = { id: token.id, name: token.id, message: whatTokenIs(token) };
  if (after === undefined) return { ...about, action: "revoked" };
  if (before === undefined) return { ...about, action: "created" };
  if (before.secretDigest !== after.secretDigest) return { ...about, action: "rotated" };
  if (before.uses === after.uses) return undefined;
  const of = after.usesMax === undefined ? "" : ` of ${after.usesMax}`;
  return { ...about, action: "used", message: `${after.uses}${of} times` };
}

function whatTokenIs({ kind, description }: Token): string {
  return description === "" ? `${kind} token` : `${kind} token: ${description}`;
}

function tellTask(before: Task | undefined, after: Task | undefined): Told | undefined {
  if (after === undefined) return undefined;
  const about = { id: after.id, name: formatTaskName(after), stack: after.stack };
  if (before?.state !== after.state) {
    return { ...about, action: after.state, message: after.message };
  }
  if (before.health !== after.health) {
    return { ...about, action: after.health, message: after.message };
  }
  if (before.message !== after.message && after.message !== "") {
    return { ...about, action: after.state, message: after.message };
  }
  return undefined;
}

function tellService(before: Service | undefined, after: Service | undefined): Told | undefined {
  const service = after ?? before;
  if (service === undefined) return undefined;
  const name = formatServiceName(service.stack, service.name);
  const about = { id: service.id, name, stack: service.stack };
  if (after === undefined) return { ...about, action: "removed", message: "" };
  const { revision } = currentRevision(after);
  if (before === undefined) return { ...about, action: "created", message: "" };
  if (after.removing && !before.removing) return { ...about, action: "removing", message: "" };
  if (currentRevision(before).revision === revision) {
    const rollout = tellRollout(about, before.rollout, after.rollout);
    if (rollout !== undefined) return rollout;
    const message = runNews(before.runs ?? NO_RUNS, after.runs ?? NO_RUNS);
    return message === "" ? undefined : { ...about, action: "run", message };
  }
  const [from, to] = [specOf(before).replicas, specOf(after).replicas];
  const scaled = from === to ? "" : `, scaled from ${from} to ${to}`;
  const { rollout } = after;
  const isBack = rollout?.back !== undefined && rollout.to === revision;
  const back = isBack ? `: ${rollout.message}` : "";
  return { ...about, action: "updated", message: `revision ${revision}${scaled}${back}` };
}

/** `rollout paused`, with why; nothing when only its counts changed. */
function tellRollout(
  about: Pick<Told, "id" | "name" | "stack">,
  before: Rollout | undefined,
  after: Rollout | undefined,
): Told | undefined {
  if (after === undefined) return undefined;
  if (before?.state === after.state && before.message === after.message) return undefined;
  return { ...about, action: `rollout ${after.state}`, message: after.message };
}

/** What became of a job's runs: `2 complete; 3 began`. */
function runNews(before: JobRuns, after: JobRuns): string {
  if (before === after) return "";
  const known = new Map(before.list.map((run) => [run.run, run]));
  const news = after.list.toReversed().flatMap(({ run, result, message }) => {
    const was = known.get(run);
    if (was?.result !== result && result !== undefined) {
      return [`${run} ${result}${message === "" ? "" : `: ${message}`}`];
    }
    return was === undefined ? [`${run} began`] : [];
  });
  if (after.skipped > before.skipped) news.push(`skipped: ${after.lastSkip?.reason ?? ""}`);
  return news.join("; ");
}

function tellStack(before: Stack | undefined, after: Stack | undefined): Told | undefined {
  const name = after?.name ?? before?.name ?? "";
  const about = { id: name, name, stack: name, message: "" };
  if (after === undefined) return { ...about, action: "removed" };
  if (before === undefined) return { ...about, action: "created" };
  if (after.removing && !before.removing) return { ...about, action: "removing" };
  return before.updatedAt === after.updatedAt ? undefined : { ...about, action: "updated" };
}

function tellNode(before: Node | undefined, after: Node | undefined): Told | undefined {
  const node = after ?? before;
  if (node === undefined) return undefined;
  const about = { id: node.id, name: node.hostname, message: "" };
  if (after === undefined) return { ...about, action: "removed" };
  if (before === undefined) return { ...about, action: "created" };
  if (before.health !== after.health) return { ...about, action: after.health };
  if (before.orchdVersion !== after.orchdVersion) {
    const message = `from ${before.orchdVersion} to ${after.orchdVersion}`;
    return { ...about, action: "upgraded", message };
  }
  if (before.availability !== after.availability) return { ...about, action: after.availability };
  const { level = "roomy" } = after.disk ?? {};
  if ((before.disk?.level ?? "roomy") !== level) {
    const message = after.disk === undefined || level === "roomy" ? "" : formatDisk(after.disk);
    return { ...about, action: `disk ${level}`, message };
  }
  return undefined;
}

function tellItem(before: Item | undefined, after: Item | undefined): Told | undefined {
  const item = after ?? before;
  if (item === undefined) return undefined;
  const stack = item.stack === undefined ? {} : { stack: item.stack };
  const about = { id: item.id, name: item.name, message: "", ...stack };
  if (after === undefined) return { ...about, action: "removed" };
  if (before === undefined) return { ...about, action: "created" };
  const { number } = newestVersion(after);
  if (newestVersion(before).number === number) return undefined;
  return { ...about, action: "updated", message: `version ${number}` };
}
