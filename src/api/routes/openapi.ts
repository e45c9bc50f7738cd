import { Hono } from "hono";
import { openAPIRouteHandler } from "hono-openapi";
import type { ApiDeps } from "../deps.ts";
import type { ApiEnv } from "../env.ts";

/** The description of all the routes of `app`, made from their schemas when it is asked for. */
export function openApiRoutes(deps: ApiDeps, app: Hono<ApiEnv>): Hono<ApiEnv> {
  const info = {
    title: "orchd",
    version: deps.version.version,
    description: "The HTTP interface of an orchd server. Times are milliseconds since 1970.",
  };
  const handler = openAPIRouteHandler(app, {
    documentation: { info },
    defaultValidationErrorResponse: false,
  });
  return new Hono<ApiEnv>().get("/openapi.json", handler);
}
