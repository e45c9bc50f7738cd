import { Hono } from "hono";
import { z } from "zod";
import {
  appliedSetSummarySchema,
  applyResultSchema,
  revisionSummarySchema,
  rolloutOrderSchema,
  rolloutSummarySchema,
  stackUndoSchema,
} from "../../model/summary.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import type { ApiEnv } from "../env.ts";
import { appliedSetSummaries, revisionSummaries, rolloutSummary } from "../read/rollout-summary.ts";
import { findService, findStack } from "../read/target.ts";
import { plainJson, serviceParam, stackParam, validJson, validParam } from "../validation.ts";

/** How services go from one revision to the next, and back. */
export function rolloutRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get(
      "/services/:stack/:service/rollout",
      describe({ summary: "How far the service's rollout is", answer: rolloutSummarySchema }),
      validParam(serviceParam),
      (c) => {
        const view = deps.store.view();
        return c.json(rolloutSummary(view, findService(view, c.req.valid("param"))));
      },
    )
    .post(
      "/services/:stack/:service/rollout",
      describe({
        summary: "Pauses the rollout, lets it go on, promotes its canaries, or goes back",
        answer: rolloutSummarySchema,
      }),
      validParam(serviceParam),
      plainJson,
      validJson(rolloutOrderSchema),
      async (c) => {
        const { id } = findService(deps.store.view(), c.req.valid("param"));
        await deps.orderRollout(id, c.req.valid("json"));
        const view = deps.store.view();
        return c.json(rolloutSummary(view, findService(view, c.req.valid("param"))));
      },
    )
    .get(
      "/services/:stack/:service/revisions",
      describe({
        summary: "The revisions of the service that are kept, the newest first",
        answer: z.array(revisionSummarySchema),
      }),
      validParam(serviceParam),
      (c) => {
        const view = deps.store.view();
        return c.json(revisionSummaries(view, findService(view, c.req.valid("param"))));
      },
    )
    .get(
      "/stacks/:stack/sets",
      describe({
        summary: "What the stack was made to be lately, the newest first",
        answer: z.array(appliedSetSummarySchema),
      }),
      validParam(stackParam),
      (c) => {
        const view = deps.store.view();
        return c.json(appliedSetSummaries(view, findStack(view, c.req.valid("param").stack)));
      },
    )
    .post(
      "/stacks/:stack/undo",
      describe({
        summary: "Makes the stack be what it was made to be before, all of it or nothing",
        answer: applyResultSchema,
      }),
      validParam(stackParam),
      plainJson,
      validJson(stackUndoSchema),
      async (c) => {
        const { name } = findStack(deps.store.view(), c.req.valid("param").stack);
        return c.json(await deps.undoStack(name, c.req.valid("json").to));
      },
    );
}
