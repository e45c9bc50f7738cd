import type { MiddlewareHandler } from "hono";
import { OrchdError } from "../lib/errors.ts";
import type { ApiEnv } from "./env.ts";
import { answerRefusal } from "./problem.ts";

/** What a machine that is no node yet needs; everything else takes a token. */
const OPEN = new Set(["GET /v1/ca", "POST /v1/join"]);

/**
 * Asks the guard of the socket on which a request came, before anything of the body is read. A
 * connection that was not let in ends with its answer, so that nobody holds one for nothing.
 */
export const guarded: MiddlewareHandler<ApiEnv> = async (c, next) => {
  const guard = c.env?.guard;
  if (guard === undefined) return next();
  if (OPEN.has(`${c.req.method} ${c.req.path}`)) {
    await next();
    c.header("connection", "close");
    return undefined;
  }
  try {
    guard(c.req.header("authorization"));
  } catch (error) {
    if (!(error instanceof OrchdError)) throw error;
    c.header("connection", "close");
    c.header("www-authenticate", "Bearer");
    return answerRefusal(c, 401, error.code, error.message);
  }
  return next();
};
