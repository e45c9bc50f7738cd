import { Hono } from "hono";
import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import { eventSchema } from "../../model/event.ts";
import { explanationSchema, nodeSummarySchema, taskSummarySchema } from "../../model/summary.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import type { ApiEnv } from "../env.ts";
import type { EventLog } from "../event-log.ts";
import { nodeSummaries } from "../read/node-summary.ts";
import { idOf, nameOfTarget, resolveTarget, TARGET_KINDS, type Target } from "../read/target.ts";
import { taskSummaries } from "../read/task-summary.ts";
import { streamLines } from "../stream.ts";
import { countSchema, flagSchema, nameText, validQuery } from "../validation.ts";

const targetQuery = z.object({ target: nameText });
/** `kind` narrows what the name may stand for; repeated for several kinds. */
const resolveQuery = z.object({
  target: nameText,
  kind: z.union([z.enum(TARGET_KINDS), z.array(z.enum(TARGET_KINDS))]).optional(),
});
const resolvedSchema = z.object({
  kind: z.enum(TARGET_KINDS),
  id: z.string(),
  name: z.string(),
  /** Of a service or task. */
  stack: z.string().optional(),
  service: z.string().optional(),
});
const tasksQuery = z.object({
  stack: nameText.optional(),
  service: nameText.optional(),
  all: flagSchema,
});
const eventsQuery = z.object({ follow: flagSchema, since: countSchema.optional() });

/** Everything that only looks. */
export function lookRoutes(deps: ApiDeps, events: EventLog): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get(
      "/resolve",
      describe({ summary: "What a name that people typed stands for", answer: resolvedSchema }),
      validQuery(resolveQuery),
      (c) => {
        const { target: text, kind = [...TARGET_KINDS] } = c.req.valid("query");
        const view = deps.store.view();
        const target = resolveTarget(view, text, [kind].flat());
        return c.json({
          kind: target.kind,
          id: idOf(target),
          name: nameOfTarget(view, target),
          ...placeOf(target),
        });
      },
    )
    .get(
      "/tasks",
      describe({
        summary: "Tasks that have not ended, and the latest of slots in which all have",
        answer: z.array(taskSummarySchema),
      }),
      validQuery(tasksQuery),
      (c) => c.json(taskSummaries(deps.store.view(), c.req.valid("query"), deps.clock.now())),
    )
    .get(
      "/nodes",
      describe({ summary: "All nodes, by host name", answer: z.array(nodeSummarySchema) }),
      (c) => c.json(nodeSummaries(deps.store.view())),
    )
    .get(
      "/explain",
      describe({ summary: "Why something is as it is", answer: explanationSchema }),
      validQuery(targetQuery),
      (c) => {
        const { target: text } = c.req.valid("query");
        const target = resolveTarget(deps.store.view(), text, ["service", "task", "node"]);
        if (target.kind === "stack") throw new OrchdError("notFound", `${text} is a stack`);
        return c.json(deps.explain(target));
      },
    )
    .get(
      "/events",
      describe({
        summary: "The latest events, and with `follow` those that come",
        answer: eventSchema,
        as: "stream",
      }),
      validQuery(eventsQuery),
      (c) => {
        const { follow, since: sinceMs = 0 } = c.req.valid("query");
        return streamLines(c, deps, (sink) => events.send(sink, { sinceMs, follow }));
      },
    );
}

function placeOf(target: Target): { stack?: string; service?: string } {
  if (target.kind === "service")
    return { stack: target.service.stack, service: target.service.name };
  if (target.kind === "task") return { stack: target.task.stack, service: target.task.service };
  return {};
}
