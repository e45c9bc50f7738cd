import { Hono } from "hono";
import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import type { LogOptions } from "../../model/session.ts";
import { taskLogLineSchema } from "../../model/summary.ts";
import type { View } from "../../model/view.ts";
import { agentOf } from "../agents.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import type { ApiEnv } from "../env.ts";
import { followLogs, type LogSource, sendLogs } from "../logs.ts";
import { resolveTarget } from "../read/target.ts";
import { streamLines } from "../stream.ts";
import { countSchema, flagSchema, nameText, validQuery } from "../validation.ts";

const logsQuery = z.object({
  /** A service or a task. */
  target: nameText,
  follow: flagSchema,
  /** Milliseconds since 1970. */
  since: countSchema.optional(),
  /** Of each task. */
  tail: countSchema.optional(),
});

export function logRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>().get(
    "/logs",
    describe({
      summary: "What the tasks of a service, or one task, have printed",
      answer: taskLogLineSchema,
      as: "stream",
    }),
    validQuery(logsQuery),
    (c) => {
      const { target, follow, since, tail } = c.req.valid("query");
      const source = sourceOf(deps.store.view(), target);
      const options: LogOptions = {
        follow,
        ...(since === undefined ? {} : { since }),
        ...(tail === undefined ? {} : { tail }),
      };
      if (!follow) refuseSilentTask(deps, source);
      const send = follow ? followLogs : sendLogs;
      return streamLines(c, deps, (sink) => send(deps, sink, source, options));
    },
  );
}

function sourceOf(view: View, text: string): LogSource {
  const target = resolveTarget(view, text, ["service", "task"]);
  if (target.kind === "service") return { kind: "service", id: target.service.id };
  if (target.kind === "task") return { kind: "task", id: target.task.id };
  throw new OrchdError("notFound", `${text} is neither a service nor a task`);
}

/** One task that is out of reach is an error before the answer begins, not an empty log. */
function refuseSilentTask(deps: ApiDeps, source: LogSource): void {
  const task = source.kind === "task" ? deps.store.view().tasks.get(source.id) : undefined;
  if (task !== undefined) agentOf(deps, task);
}
