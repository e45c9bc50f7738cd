import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** One request as it came. */
export interface Request {
  method: string;
  /** With its query. */
  path: string;
  body: string;
}

/** What a server says: a value as JSON, or whatever else as a response. */
export type Reply = unknown;
export type Routes = Record<string, (request: Request) => Reply>;

const SOCKETS = /^\/v1\/(exec|forward|volumes\/[^/]+\/hold)$/;

/** A server at the HTTP edge: canned answers, by `METHOD /path` without its query. */
export class FakeServer {
  readonly requests: Request[] = [];
  readonly directory = mkdtempSync(join(tmpdir(), "orchd-cli-"));
  readonly socketPath = join(this.directory, "orchd.sock");
  readonly #server: Bun.Server<undefined>;

  constructor(routes: Routes, websocket?: Bun.WebSocketHandler<undefined>) {
    this.#server = Bun.serve({
      unix: this.socketPath,
      fetch: (request, server) => this.#answer(request, server, routes),
      websocket: websocket ?? { message: () => {} },
    });
  }

  async #answer(
    request: globalThis.Request,
    server: Bun.Server<undefined>,
    routes: Routes,
  ): Promise<Response | undefined> {
    const { pathname, search } = new URL(request.url);
    const path = `${pathname}${search}`;
    const came = { method: request.method, path, body: await request.text() };
    this.requests.push(came);
    if (SOCKETS.test(pathname) && server.upgrade(request)) return undefined;
    const route = routes[`${request.method} ${decodeURIComponent(pathname)}`];
    if (route === undefined) return problem("notFound", `there is no ${path}`);
    const reply = route(came);
    return reply instanceof Response ? reply : Response.json(reply);
  }

  async stop(): Promise<void> {
    await this.#server.stop(true);
    rmSync(this.directory, { recursive: true });
  }
}

const STATUS: Record<string, number> = { notFound: 404, conflict: 409, invalid: 400 };

export function problem(code: string, message: string, details: string[] = []): Response {
  const status = STATUS[code] ?? 500;
  return Response.json({ error: { code, message, details } }, { status });
}

/** An NDJSON answer that ends after its lines. */
export function lines(...values: unknown[]): Response {
  return new Response(values.map((value) => `${JSON.stringify(value)}\n`).join(""));
}

/** An NDJSON answer that stays open after its lines until the client leaves. */
export function openLines(...values: unknown[]): Response {
  const text = values.map((value) => `${JSON.stringify(value)}\n`).join("");
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new TextEncoder().encode(text)),
  });
  return new Response(stream);
}
