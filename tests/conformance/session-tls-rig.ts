import * as http from "node:http";
import * as net from "node:net";
import * as tls from "node:tls";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import type { NodeId } from "../../src/model/ids.ts";
import { seededRandom } from "../../src/lib/random.ts";
import type { TlsOptions } from "../../src/session/dial.ts";
import {
  refusalBody,
  type RefusalReason,
  SESSION_PATH,
  STATUS_PATH,
} from "../../src/session/refusal.ts";
import { ServerConnection } from "../../src/session/server-connection.ts";
import { Sessions } from "../../src/session/sessions.ts";
import { LinkListener } from "../../src/session/ws-link.ts";
import { anId } from "../builders.ts";
import { FakeServer, facts, ScriptedAgent, WELCOME } from "../unit/session/rig.ts";
import type { TestAuthority } from "./session-certificates.ts";

/** The system's clock, so many times as fast: what takes seconds passes within a test. */
export function fastClock(factor: number): Clock {
  return {
    now: () => Date.now(),
    monotonicNow: () => performance.now(),
    after: (delayMs, run) => systemClock.after(delayMs / factor, run),
  };
}

/** A server's port for agents: mutual TLS, sessions, and why somebody is refused. */
export class TlsServer {
  readonly server = new FakeServer();
  readonly logged: string[] = [];
  readonly sessions: Sessions;
  /** Why a node is refused, by its id. */
  readonly refused = new Map<string, RefusalReason>();
  readonly #listener = new LinkListener();
  readonly #http: http.Server;
  readonly #tls: tls.Server;
  readonly #sockets = new Set<net.Socket>();
  port = 0;

  private constructor(authority: TestAuthority, own: { cert: string; key: string }, clock: Clock) {
    const line = (message: string) => void this.logged.push(message);
    const log = { info: line, warn: line, error: line };
    this.sessions = new Sessions({
      clock,
      log,
      server: this.server,
      welcome: () => this.welcome(),
    });
    this.#http = http.createServer((request, response) => this.#answer(request, response));
    this.#http.on("upgrade", (request: http.IncomingMessage, socket: net.Socket, head: Buffer) => {
      const nodeId = nodeOf(request);
      if (this.refused.has(nodeId) || request.url !== SESSION_PATH) {
        socket.end("HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        return;
      }
      this.#listener.upgrade(request, socket, head, (link) => this.sessions.accept(link, nodeId));
    });
    const ask = { requestCert: true, rejectUnauthorized: false, ca: authority.certificate };
    this.#tls = tls.createServer({ ...own, ...ask }, (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => {});
      this.#http.emit("connection", socket);
    });
  }

  static async start(
    authority: TestAuthority,
    options: { clock: Clock; port?: number },
  ): Promise<TlsServer> {
    const server = new TlsServer(authority, await authority.forServer(), options.clock);
    await new Promise<void>((resolve, reject) => {
      server.#tls.once("error", reject);
      server.#tls.listen(options.port ?? 0, "127.0.0.1", resolve);
    });
    server.port = (server.#tls.address() as net.AddressInfo).port;
    return server;
  }

  welcome() {
    return { ...WELCOME, servers: [] };
  }

  /** Ends as a process that is killed. */
  async kill(): Promise<void> {
    const closed = new Promise((resolve) => this.#tls.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    const why = this.refused.get(nodeOf(request));
    response.statusCode = why === undefined ? 404 : 403;
    response.end(why !== undefined && request.url === STATUS_PATH ? refusalBody(why) : "");
  }
}

function nodeOf(request: http.IncomingMessage): NodeId {
  const { CN } = (request.socket as tls.TLSSocket).getPeerCertificate().subject;
  return anId(String(CN).replace("node:", ""));
}

/** A wire between an agent and its server that can be cut without either being told. */
export class Wire {
  readonly #server: net.Server;
  readonly #sockets: net.Socket[] = [];
  #cut = false;
  port = 0;

  private constructor(to: number) {
    this.#server = net.createServer((near) => {
      const far = net.connect({ port: to, host: "127.0.0.1" });
      this.#join(near, far);
      this.#join(far, near);
    });
  }

  static async start(to: number): Promise<Wire> {
    const wire = new Wire(to);
    await new Promise<void>((resolve) => wire.#server.listen(0, "127.0.0.1", resolve));
    wire.port = (wire.#server.address() as net.AddressInfo).port;
    return wire;
  }

  /** Nothing passes on the connections that are there; new ones work. */
  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.pause();
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #join(from: net.Socket, to: net.Socket): void {
    const cutBefore = this.#cut;
    this.#sockets.push(from);
    from.on("data", (data) => {
      if (!to.write(data)) from.pause();
    });
    to.on("drain", () => {
      if (!this.#cut || cutBefore) from.resume();
    });
    from.on("error", () => {});
    from.on("close", () => to.destroy());
  }
}

export interface TlsAgentOptions {
  port: number;
  clock: Clock;
  tls: () => TlsOptions;
  renew?: () => Promise<void>;
  seed?: string;
}

/** An agent's connection with Bun's own WebSocket client. */
export function tlsAgent({ port, clock, tls, renew, seed = "agent" }: TlsAgentOptions) {
  const agent = new ScriptedAgent();
  const logged: string[] = [];
  const line = (message: string) => void logged.push(message);
  const connection = new ServerConnection({
    clock,
    log: { info: line, warn: line, error: line },
    random: seededRandom(seed),
    servers: [`127.0.0.1:${port}`],
    tls,
    renew: renew ?? (() => Promise.reject(new Error("no test renews here"))),
    onWelcome: () => {},
  });
  connection.hello(agent, facts()).catch(() => {});
  return { agent, connection, logged };
}
