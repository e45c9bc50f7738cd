import { Hono } from "hono";
import { versionInfoSchema } from "../../model/summary.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import type { ApiEnv } from "../env.ts";

export function versionRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>().get(
    "/version",
    describe({ summary: "The version of the server", answer: versionInfoSchema }),
    (c) => c.json(deps.version),
  );
}
