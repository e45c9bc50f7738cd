import type { MiddlewareHandler, Next } from "hono";
import type { Clock } from "../lib/clock.ts";
import { OrchdError } from "../lib/errors.ts";
import type { ApiContext, ApiEnv } from "./env.ts";
import { answerRefusal } from "./problem.ts";

/** What a machine that is no node yet needs; everything else takes a token. */
const OPEN = new Set(["GET /v1/ca", "POST /v1/join"]);
/** How long the request of whoever has shown no token may take to come, and to be answered. */
const OPEN_WITHIN_MS = 10_000;

/**
 * Asks the guard of the socket on which a request came, before anything of the body is read. A
 * connection that was not let in ends with its answer, so that nobody holds one for nothing.
 */
export function guarded(clock: Clock): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const guard = c.env?.guard;
    if (guard === undefined) return next();
    if (OPEN.has(`${c.req.method} ${c.req.path}`)) return answerSoon(c, next, clock);
    try {
      const admission = guard(c.req.header("authorization"));
      c.set("admission", admission);
      if (admission.scopes !== undefined && !isRegistry(c.req.path)) {
        return answerRefusal(c, 403, "forbidden", "the token is for images alone");
      }
    } catch (error) {
      if (!(error instanceof OrchdError)) throw error;
      return answerStranger(c, error);
    }
    return next();
  };
}

function answerStranger(c: ApiContext, { code, message }: OrchdError): Response {
  c.header("connection", "close");
  c.header("www-authenticate", isRegistry(c.req.path) ? 'Basic realm="orchd"' : "Bearer");
  if (!isRegistry(c.req.path)) return answerRefusal(c, 401, code, message);
  // OCI distribution specification 1.1, "Error Codes".
  return c.json({ errors: [{ code: "UNAUTHORIZED", message }] }, 401);
}

/** Programs for registries know tokens as passwords alone. */
function isRegistry(path: string): boolean {
  return path === "/v2" || path.startsWith("/v2/");
}

async function answerSoon(c: ApiContext, next: Next, clock: Clock): Promise<Response | undefined> {
  const late = Promise.withResolvers<"late">();
  const timer = clock.after(OPEN_WITHIN_MS, () => late.resolve("late"));
  const answered = next();
  // Its end is nobody's concern once the connection is closed.
  answered.catch(() => {});
  const first = await Promise.race([answered, late.promise]).finally(() => timer.cancel());
  c.header("connection", "close");
  if (first !== "late") return undefined;
  return answerRefusal(c, 408, "timedOut", "the request did not come in time: try again");
}
