import { Hono } from "hono";
import { z } from "zod";
import type { ExecOptions, ExecSession } from "../../model/session.ts";
import { agentOf, runningTask } from "../agents.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import type { ApiEnv } from "../env.ts";
import { ExecSocket } from "../exec-socket.ts";
import { nameText, validQuery } from "../validation.ts";
import { upgrade } from "../web-socket.ts";

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
      const { task } = c.req.valid("query");
      const { clock, log } = deps;
      const start = (options: ExecOptions) => startExec(deps, task, options);
      return upgrade(c, new ExecSocket({ clock, log, start }));
    },
  );
}

/** Problems with the task are told on the socket: a refused upgrade could not say them. */
async function startExec(deps: ApiDeps, name: string, options: ExecOptions): Promise<ExecSession> {
  const task = runningTask(deps, name, "commands run in");
  return agentOf(deps, task).exec(task.id, options);
}
