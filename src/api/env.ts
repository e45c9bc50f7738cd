import type { Context } from "hono";
import type { OrchdError } from "../lib/errors.ts";
import type { RegistryScope } from "../model/registry-scope.ts";
import type { ApiSocketData } from "./api-socket.ts";

/** What `Bun.serve` offers to a request; absent when the app is called without a port. */
export interface HttpServer {
  upgrade(request: Request, options: { data: ApiSocketData }): boolean;
}

/** That somebody was let in. */
export interface Admission {
  /** Who may do only this with images, and nothing else; absent for who may do everything. */
  scopes?: readonly RegistryScope[];
  /**
   * Calls `run` when that ends, as when the token is revoked, never before this returns. Answers
   * how to be left alone.
   */
  onEnd(run: (why: OrchdError) => void): () => void;
}

/** Lets whoever asks in, or throws `unauthorized`; gets the header `authorization`. */
export type Guard = (authorization: string | undefined) => Admission;

export interface ApiEnv {
  Bindings: {
    server?: HttpServer;
    /** Where others than root can connect; without it everybody may do everything. */
    guard?: Guard;
  };
  Variables: {
    /** Of whoever had to be let in. */
    admission?: Admission;
  };
}
export type ApiContext = Context<ApiEnv>;
