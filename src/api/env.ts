import type { Context } from "hono";
import type { ApiSocketData } from "./web-socket.ts";

/** What `Bun.serve` offers to a request; absent when the app is called without a port. */
export interface HttpServer {
  upgrade(request: Request, options: { data: ApiSocketData }): boolean;
}

/** Lets whoever asks in, or throws `unauthorized`; gets the header `authorization`. */
export type Guard = (authorization: string | undefined) => void;

export interface ApiEnv {
  Bindings: {
    server?: HttpServer;
    /** Where others than root can connect; without it everybody may do everything. */
    guard?: Guard;
  };
}
export type ApiContext = Context<ApiEnv>;
