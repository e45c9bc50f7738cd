import { Hono } from "hono";
import { z } from "zod";
import { agentOf, runningTask } from "../agents.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import type { ApiEnv } from "../env.ts";
import { StreamSocket } from "../stream-socket.ts";
import { nameText, validQuery } from "../validation.ts";
import { upgrade } from "../web-socket.ts";

const forwardQuery = z.object({
  task: nameText,
  port: z.coerce.number().int().min(1).max(65_535),
});

export function forwardRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>().get(
    "/forward",
    describe({
      summary: "A WebSocket to a TCP port of a task; src/api/README.md has its messages",
      status: 101,
    }),
    validQuery(forwardQuery),
    (c) => {
      const { task: name, port } = c.req.valid("query");
      const { clock, log } = deps;
      // Problems with the task are told on the socket: a refused upgrade could not say them.
      const start = async () => {
        const task = runningTask(deps, name, "ports are forwarded to");
        return agentOf(deps, task).forward(task.id, port);
      };
      return upgrade(c, new StreamSocket({ clock, log, start }));
    },
  );
}
