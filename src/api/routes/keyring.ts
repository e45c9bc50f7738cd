import { Hono } from "hono";
import { z } from "zod";
import { fingerprintSchema, keyRequestSchema, keySummarySchema } from "../../model/keyring.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import type { ApiEnv } from "../env.ts";
import { flagSchema, plainJson, validJson, validParam, validQuery } from "../validation.ts";

const keyParam = z.object({ key: fingerprintSchema });

export function keyringRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get(
      "/keyring",
      describe({
        summary: "The keys of the cluster's gossip, the primary one first",
        answer: z.array(keySummarySchema),
      }),
      validQuery(z.object({ show: flagSchema })),
      (c) => {
        c.header("cache-control", "no-store");
        return c.json(deps.gossipKeys.list(c.req.valid("query").show));
      },
    )
    .post(
      "/keyring",
      describe({
        summary: "Lets all nodes understand one more key; a random one where none is given",
        answer: keySummarySchema,
        status: 201,
      }),
      plainJson,
      validJson(keyRequestSchema),
      async (c) => c.json(await deps.gossipKeys.install(c.req.valid("json").key), 201),
    )
    .post(
      "/keyring/:key/use",
      describe({ summary: "Makes the key the primary one, which encrypts", status: 204 }),
      validParam(keyParam),
      async (c) => {
        await deps.gossipKeys.use(c.req.valid("param").key);
        return c.body(null, 204);
      },
    )
    .delete(
      "/keyring/:key",
      describe({ summary: "Removes a key that is not the primary one", status: 204 }),
      validParam(keyParam),
      async (c) => {
        await deps.gossipKeys.remove(c.req.valid("param").key);
        return c.body(null, 204);
      },
    );
}
