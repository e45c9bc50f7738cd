import { createServer, type RequestListener, type Server } from "node:http";
import * as net from "node:net";
import { type Clock, systemClock } from "../../../../src/lib/clock.ts";
import { messageOf } from "../../../../src/lib/errors.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import { RouteTable } from "../../../../src/core/ingress/route-table.ts";
import type { IngressRule } from "../../../../src/model/ingress-rule.ts";
import type { Served } from "../../../../src/net/ingress/front-connection.ts";
import { type Listener, listenHttp } from "../../../../src/net/ingress/listeners.ts";
import { Proxy } from "../../../../src/net/ingress/proxy.ts";
import { aMapService, aMapTask, anId, anIngressRule } from "../../../builders.ts";

/** Time that a test skips; timers come much sooner than they are asked for. */
export class SkipClock implements Clock {
  #skipped = 0;

  skip(ms: number): void {
    this.#skipped += ms;
  }

  now(): number {
    return systemClock.now() + this.#skipped;
  }

  monotonicNow(): number {
    return systemClock.monotonicNow() + this.#skipped;
  }

  after(delayMs: number, run: () => void) {
    return systemClock.after(delayMs / 25, run);
  }
}

/** A proxy on a port of its own, with one service that answers for every host. */
export class ProxyRig {
  readonly clock = new SkipClock();
  readonly served: Served[] = [];
  readonly proxy: Proxy;
  readonly listener: Listener;
  readonly #closers: (() => void)[] = [];

  constructor(options: { connectionsMax?: number } = {}) {
    const onServed = (one: Served) => void this.served.push(one);
    this.proxy = new Proxy({
      clock: this.clock,
      random: seededRandom("ingress"),
      onServed,
      ...options,
    });
    this.listener = listenHttp(this.proxy, "127.0.0.1", 0);
  }

  get port(): number {
    return this.listener.port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Sends all requests to tasks on these ports of this machine. */
  route(ports: readonly number[], over: Partial<IngressRule> = {}): void {
    this.routes([{ ports, rule: { host: "*", ...over } }]);
  }

  routes(all: { ports: readonly number[]; rule: Partial<IngressRule> }[]): void {
    const parts = all.map(({ ports, rule: over }, i) => {
      const rule = anIngressRule(over);
      const service = aMapService(`web${i}`, { ingress: [rule] });
      const tasks = ports.map((port) =>
        aMapTask(`task${port}`, {
          serviceId: anId(`web${i}`),
          address: "127.0.0.1",
          ingress: [{ ...rule, port }],
        }),
      );
      return { service, tasks };
    });
    const services = parts.map(({ service }) => service);
    this.proxy.setRoutes(RouteTable.of({ services, tasks: parts.flatMap(({ tasks }) => tasks) }));
  }

  /** A program that speaks HTTP; answers its port. */
  async http(listener: RequestListener): Promise<number> {
    const server = createServer({ keepAliveTimeout: 60_000 }, listener);
    return this.#listen(server);
  }

  /** A program that does with each connection what it likes; answers its port. */
  async raw(onSocket: (socket: net.Socket) => void): Promise<number> {
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => {});
      this.onClose(() => void socket.destroy());
      onSocket(socket);
    });
    return this.#listen(server);
  }

  /** A program that answers each connection with this text, once something has come. */
  async answering(text: string): Promise<number> {
    return this.raw((socket) => socket.once("data", () => socket.end(text, "latin1")));
  }

  /** The same, on each connection again and again. */
  async answeringEach(text: string): Promise<number> {
    return this.raw((socket) => socket.on("data", () => socket.write(text, "latin1")));
  }

  /** A program on a port that was free. */
  async listen(port: number, onSocket: (socket: net.Socket) => void) {
    const made = { count: 0 };
    const server = net.createServer((socket) => {
      made.count += 1;
      socket.on("error", () => {});
      onSocket(socket);
    });
    await this.#listen(server, port);
    return made;
  }

  onClose(close: () => void): void {
    this.#closers.push(close);
  }

  close(): void {
    this.listener.close();
    this.proxy.close();
    for (const close of this.#closers) close();
  }

  async #listen(server: net.Server | Server, port = 0): Promise<number> {
    await new Promise<void>((resolve) => void server.listen(port, "127.0.0.1", resolve));
    this.onClose(() => {
      if ("closeAllConnections" in server) server.closeAllConnections();
      server.close();
    });
    return (server.address() as net.AddressInfo).port;
  }
}

/** A port that nothing listens on. */
export async function aDeadPort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise<void>((resolve) => void server.close(() => resolve()));
  return port;
}

/** A client that says what a test writes, and keeps what it hears. */
export class RawClient {
  readonly socket: net.Socket;
  heard = "";
  isOver = false;
  #wake = () => {};

  constructor(port: number) {
    this.socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    this.socket.setEncoding("latin1");
    this.socket.on("data", (text: string) => {
      this.heard += text;
      this.#wake();
    });
    const over = () => {
      this.isOver = true;
      this.#wake();
    };
    this.socket.on("end", over);
    this.socket.on("close", over);
    this.socket.on("error", () => {});
  }

  /** Writes a text, in Latin 1. */
  say(text: string): this {
    this.socket.write(text, "latin1");
    return this;
  }

  /** Resolves when what was heard is as the test wants it. */
  async until(isThere: (heard: string) => boolean): Promise<string> {
    const deadline = Date.now() + 4500;
    while (!isThere(this.heard)) {
      if (Date.now() > deadline) throw new Error(`heard ${JSON.stringify(this.heard.slice(-500))}`);
      await new Promise<void>((resolve) => {
        const timer = systemClock.after(50, resolve);
        this.#wake = () => {
          timer.cancel();
          resolve();
        };
      });
    }
    return this.heard;
  }

  /** All that is heard until the other side ends. */
  async all(): Promise<string> {
    await this.until(() => this.isOver);
    this.socket.destroy();
    return this.heard;
  }
}

/** All that comes back for one text, until the other side ends. */
export async function answerTo(port: number, text: string): Promise<string> {
  return new RawClient(port).say(text).all();
}

/** Resolves when it is so; it is looked at again and again. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + 4500;
  while (!isSo()) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise<void>((resolve) => void systemClock.after(10, resolve));
  }
}

export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);
}

/** Why it failed; empty where it did not. */
export function failureOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "",
    (error: unknown) => messageOf(error) || "failed",
  );
}
