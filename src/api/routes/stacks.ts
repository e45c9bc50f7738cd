import { Hono } from "hono";
import { z } from "zod";
import { stackSpecSchema } from "../../model/stack.ts";
import { applyResultSchema, progressSchema, stackSummarySchema } from "../../model/summary.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import type { ApiEnv } from "../env.ts";
import { sendProgress } from "../progress.ts";
import { stackProgress, stackSummaries } from "../read/stack-summary.ts";
import { findStack } from "../read/target.ts";
import { streamLines } from "../stream.ts";
import {
  flagSchema,
  plainJson,
  stackParam,
  validJson,
  validParam,
  validQuery,
} from "../validation.ts";

const applyQuery = z.object({ dryRun: flagSchema, prune: flagSchema });
const removeQuery = z.object({ volumes: flagSchema });

export function stackRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get(
      "/stacks",
      describe({ summary: "All stacks, by name", answer: z.array(stackSummarySchema) }),
      (c) => c.json(stackSummaries(deps.store.view())),
    )
    .put(
      "/stacks/:stack",
      describe({ summary: "Makes the stack be what the body says", answer: applyResultSchema }),
      validParam(stackParam),
      validQuery(applyQuery),
      plainJson,
      validJson(stackSpecSchema),
      async (c) => {
        const { stack } = c.req.valid("param");
        return c.json(await deps.applyStack(stack, c.req.valid("json"), c.req.valid("query")));
      },
    )
    .delete(
      "/stacks/:stack",
      describe({
        summary: "Begins the end of the stack, its volumes included if asked",
        status: 202,
      }),
      validParam(stackParam),
      validQuery(removeQuery),
      async (c) => {
        const { name } = findStack(deps.store.view(), c.req.valid("param").stack);
        await deps.removeStack(name, c.req.valid("query"));
        return c.body(null, 202);
      },
    )
    .get(
      "/stacks/:stack/progress",
      describe({
        summary: "How far the stack is: now, and at each change until it is removed",
        answer: progressSchema,
        as: "stream",
      }),
      validParam(stackParam),
      (c) => {
        const { name } = findStack(deps.store.view(), c.req.valid("param").stack);
        const read = () => stackProgress(deps.store.view(), name);
        return streamLines(c, deps, (sink) => sendProgress(deps, sink, read));
      },
    );
}
