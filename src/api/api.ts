import { Hono, type MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { ApiDeps } from "./deps.ts";
import type { ApiContext, ApiEnv } from "./env.ts";
import { EventLog } from "./event-log.ts";
import { allowedMethods } from "./methods.ts";
import { answerProblem, answerRefusal } from "./problem.ts";
import { backupRoutes } from "./routes/backup.ts";
import { bundleRoutes } from "./routes/bundles.ts";
import { execRoutes } from "./routes/exec.ts";
import { forwardRoutes } from "./routes/forward.ts";
import { guarded } from "./guard.ts";
import { imageRoutes } from "./routes/images.ts";
import { itemRoutes } from "./routes/items.ts";
import { joinRoutes } from "./routes/join.ts";
import { keyringRoutes } from "./routes/keyring.ts";
import { logRoutes } from "./routes/logs.ts";
import { lookRoutes } from "./routes/look.ts";
import { nodeRoutes } from "./routes/nodes.ts";
import { networkRoutes } from "./routes/networks.ts";
import { openApiRoutes } from "./routes/openapi.ts";
import { rolloutRoutes } from "./routes/rollouts.ts";
import { serviceRoutes } from "./routes/services.ts";
import { stackRoutes } from "./routes/stacks.ts";
import { tokenRoutes } from "./routes/tokens.ts";
import { upgradeRoutes } from "./routes/upgrades.ts";
import { vaultRoutes } from "./routes/vault.ts";
import { versionRoutes } from "./routes/version.ts";
import { volumeRoutes } from "./routes/volumes.ts";

export const BODY_BYTES_MAX = 4 * 1024 * 1024;
const ARCHIVES = ["/v1/images", "/v1/bundles", "/v1/executables"];
/** Of whoever has shown no more than a join token, and that only in the body. */
const JOIN_BYTES_MAX = 64 * 1024;

/** The whole HTTP interface. Keeps the latest events from now on, by watching the store. */
export function createApi(deps: ApiDeps): Hono<ApiEnv> {
  const app = new Hono<ApiEnv>();
  // Before anything of a request is read.
  app.use(guarded(deps.clock));
  const limited = limitedTo(BODY_BYTES_MAX, "4 MiB");
  const joinLimited = limitedTo(JOIN_BYTES_MAX, "64 KiB");
  app.use((c: ApiContext, next) => {
    // Archives are streamed to where they go; everything else is read into memory.
    const isArchive = ARCHIVES.some((path) => isPost(c, path)) || isVolumeArchive(c);
    if (isArchive || isRegistry(c)) return next();
    return isPost(c, "/v1/join") ? joinLimited(c, next) : limited(c, next);
  });

  app.route("/v1", versionRoutes(deps));
  app.route("/v1", stackRoutes(deps));
  app.route("/v1", serviceRoutes(deps));
  app.route("/v1", rolloutRoutes(deps));
  const events = new EventLog(deps.store, deps.clock);
  deps.onHappening((happening) => events.note(happening));
  app.route("/v1", lookRoutes(deps, events));
  app.route("/v1", nodeRoutes(deps));
  app.route("/v1", networkRoutes(deps));
  app.route("/v1", logRoutes(deps));
  app.route("/v1", execRoutes(deps));
  app.route("/v1", forwardRoutes(deps));
  app.route("/v1", imageRoutes(deps));
  app.route("/v1", bundleRoutes(deps));
  app.route("/v1", upgradeRoutes(deps));
  app.route("/v1", joinRoutes(deps));
  app.route("/v1", tokenRoutes(deps));
  app.route("/v1", keyringRoutes(deps));
  app.route("/v1", backupRoutes(deps));
  app.route("/v1", volumeRoutes(deps));
  app.route("/v1", itemRoutes(deps));
  app.route("/v1", vaultRoutes(deps));
  app.route("/v1", openApiRoutes(deps, app));
  for (const path of ["/v2", "/v2/*"]) {
    app.all(path, (c) => deps.images.answer(c.req.raw, c.get("admission")?.scopes));
  }

  app.onError((error, c) => answerProblem(c, error, deps.log));
  app.notFound((c) => refuseUnknown(app, c));
  return app;
}

function limitedTo(maxSize: number, shown: string): MiddlewareHandler<ApiEnv> {
  const message = `the body is larger than ${shown}`;
  return bodyLimit({ maxSize, onError: (c) => answerRefusal(c, 413, "tooLarge", message) });
}

function isVolumeArchive(c: ApiContext): boolean {
  return c.req.method === "PUT" && /^\/v1\/volumes\/[^/]+\/archive$/.test(c.req.path);
}

/** The registry has bounds of its own. */
function isRegistry(c: ApiContext): boolean {
  return c.req.path === "/v2" || c.req.path.startsWith("/v2/");
}

function isPost(c: ApiContext, path: string): boolean {
  return c.req.method === "POST" && c.req.path === path;
}

function refuseUnknown(app: Hono<ApiEnv>, c: ApiContext): Response {
  const methods = allowedMethods(app.routes, c.req.path);
  if (methods.length === 0) {
    return answerRefusal(c, 404, "notFound", "this address does not exist: see /v1/openapi.json");
  }
  c.header("allow", methods.join(", "));
  return answerRefusal(c, 405, "invalid", `this address takes ${methods.join(", ")} only`);
}
