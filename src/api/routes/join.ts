import { Hono, type MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { Clock } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import { caAnswerSchema, joinAnswerSchema, joinRequestSchema } from "../../model/join.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import type { ApiEnv } from "../env.ts";
import { answerRefusal } from "../problem.ts";
import { plainJson, validJson } from "../validation.ts";

const JOIN_BYTES_MAX = 64 * 1024;
const JOIN_WITHIN_MS = 10_000;

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
      bodyLimit({
        maxSize: JOIN_BYTES_MAX,
        onError: (c) => answerRefusal(c, 413, "tooLarge", "the body is larger than 64 KiB"),
      }),
      arrivesSoon(deps.clock),
      plainJson,
      validJson(joinRequestSchema),
      async (c) => c.json(await deps.join(c.req.valid("json"))),
    );
}

/** Whoever has shown no token yet does not keep a connection open by sending slowly. */
function arrivesSoon(clock: Clock): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const late = Promise.withResolvers<"late">();
    const timer = clock.after(JOIN_WITHIN_MS, () => late.resolve("late"));
    try {
      // Hono keeps the text for whoever reads it next.
      if ((await Promise.race([c.req.text(), late.promise])) !== "late") return await next();
    } finally {
      timer.cancel();
    }
    return answerRefusal(c, 408, "timedOut", "the request did not come in time: try again");
  };
}
