import { Hono } from "hono";
import { OrchdError } from "../../lib/errors.ts";
import { caAnswerSchema, joinAnswerSchema, joinRequestSchema } from "../../model/join.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import type { ApiEnv } from "../env.ts";
import { plainJson, validJson } from "../validation.ts";

/** What a machine asks that is no node yet: nothing here takes more than the token it carries. */
export function joinRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get(
      "/ca",
      describe({
        summary: "The certificate of the cluster's authority, to be compared with a token's digest",
        answer: caAnswerSchema,
      }),
      (c) => {
        const { cluster } = deps.store.view();
        if (cluster === undefined) throw new OrchdError("notFound", "there is no cluster yet");
        return c.json({ caCertificate: cluster.caCertificate });
      },
    )
    .post(
      "/join",
      describe({ summary: "Makes a node of a machine with a token", answer: joinAnswerSchema }),
      plainJson,
      validJson(joinRequestSchema),
      async (c) => c.json(await deps.join(c.req.valid("json"))),
    );
}
