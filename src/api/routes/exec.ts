import { Hono } from "hono";
import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import type { ExecOptions, ExecSession } from "../../model/session.ts";
import { formatTaskName } from "../../model/task.ts";
import { agentOf } from "../agents.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import type { ApiContext, ApiEnv } from "../env.ts";
import { ExecSocket } from "../exec-socket.ts";
import { answerRefusal } from "../problem.ts";
import { hostnameOf, resolveTarget } from "../read/target.ts";
import { nameText, validQuery } from "../validation.ts";

const execQuery = z.object({ task: nameText });

export function execRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>().get(
    "/exec",
    describe({
      summary: "A WebSocket that runs a command in a task; src/api/README.md has its messages",
      status: 101,
    }),
    validQuery(execQuery),
    (c) => {
      if (isForeign(c)) {
        return answerRefusal(c, 403, "forbidden", "a page of another site may not run commands");
      }
      const { task } = c.req.valid("query");
      const { clock, log } = deps;
      const start = (options: ExecOptions) => startExec(deps, task, options);
      const socket = new ExecSocket({ clock, log, start });
      // Without a server `env` is undefined in spite of its type.
      const env: ApiEnv["Bindings"] | undefined = c.env;
      if (env?.server?.upgrade(c.req.raw, { data: { socket } }) === true) return c.body(null);
      return answerRefusal(c, 400, "invalid", "this address takes WebSockets only");
    },
  );
}

/** Problems with the task are told on the socket: a refused upgrade could not say them. */
async function startExec(deps: ApiDeps, name: string, options: ExecOptions): Promise<ExecSession> {
  const view = deps.store.view();
  const target = resolveTarget(view, name, ["task"]);
  if (target.kind !== "task") throw new OrchdError("notFound", `${name} is not a task`);
  const { task } = target;
  if (task.state !== "running") {
    const shown = formatTaskName(task, hostnameOf(view, task));
    throw new OrchdError(
      "conflict",
      `${shown} is ${task.state}: commands run in running tasks only`,
    );
  }
  return agentOf(deps, task).exec(task.id, options);
}

/** Browsers tell where a page is from; command lines tell nothing. */
function isForeign(c: ApiContext): boolean {
  const origin = c.req.header("origin");
  if (origin === undefined) return false;
  return !URL.canParse(origin) || new URL(origin).host !== c.req.header("host");
}
