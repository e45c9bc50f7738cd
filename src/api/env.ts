import type { Context } from "hono";
import type { ExecSocketData } from "./exec-socket.ts";

/** What `Bun.serve` offers to a request; absent when the app is called without a port. */
export interface HttpServer {
  upgrade(request: Request, options: { data: ExecSocketData }): boolean;
}

export interface ApiEnv {
  Bindings: { server?: HttpServer };
}
export type ApiContext = Context<ApiEnv>;
