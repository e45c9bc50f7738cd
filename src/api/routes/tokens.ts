import { Hono } from "hono";
import { z } from "zod";
import { sortedBy } from "../../lib/order.ts";
import { tokenIdSchema } from "../../model/ids.ts";
import {
  newTokenSchema,
  tokenRequestSchema,
  tokenSummaryOf,
  tokenSummarySchema,
} from "../../model/token.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import type { ApiEnv } from "../env.ts";
import { plainJson, validJson, validParam } from "../validation.ts";

const tokenParam = z.object({ token: tokenIdSchema });

export function tokenRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get(
      "/tokens",
      describe({ summary: "All tokens, the oldest first", answer: z.array(tokenSummarySchema) }),
      (c) => {
        const { tokens } = deps.store.view();
        const sorted = sortedBy(tokens.values(), (t) => `${instantKey(t.createdAt)}${t.id}`);
        return c.json(sorted.map((token) => tokenSummaryOf(token, deps.clock.now())));
      },
    )
    .post(
      "/tokens",
      describe({
        summary: "Makes a token; no other answer will hold its text",
        answer: newTokenSchema,
        status: 201,
      }),
      plainJson,
      validJson(tokenRequestSchema),
      async (c) => c.json(await deps.createToken(c.req.valid("json")), 201),
    )
    .post(
      "/tokens/:token/rotate",
      describe({
        summary: "Gives the token a new secret; the old one opens nothing any more",
        answer: newTokenSchema,
      }),
      validParam(tokenParam),
      async (c) => c.json(await deps.rotateToken(c.req.valid("param").token)),
    )
    .delete(
      "/tokens/:token",
      describe({ summary: "Ends the token at once", status: 204 }),
      validParam(tokenParam),
      async (c) => {
        await deps.revokeToken(c.req.valid("param").token);
        return c.body(null, 204);
      },
    );
}

/** Sorts as text as it does as a number. */
function instantKey(at: number): string {
  return String(at).padStart(16, "0");
}
