import type { Context } from "hono";
import type { ApiSocketData } from "./web-socket.ts";

/** What `Bun.serve` offers to a request; absent when the app is called without a port. */
export interface HttpServer {
  upgrade(request: Request, options: { data: ApiSocketData }): boolean;
}

export interface ApiEnv {
  Bindings: { server?: HttpServer };
}
export type ApiContext = Context<ApiEnv>;
