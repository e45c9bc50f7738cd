import { smallAnswer } from "../../../src/images/peer-answer.ts";
import { mkdtempSync, rmSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import * as tls from "node:tls";
import { createApi } from "../../../src/api/api.ts";
import { type ApiListener, serveApi } from "../../../src/api/listen.ts";
import { type Clock, systemClock } from "../../../src/lib/clock.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import type { NodeId } from "../../../src/model/ids.ts";
import type { JoinRequest } from "../../../src/model/join.ts";
import { parseToken } from "../../../src/model/token-text.ts";
import { remove } from "../../../src/model/change.ts";
import { newKey } from "../../../src/pki/keys.ts";
import { newRequest } from "../../../src/pki/request.ts";
import { authorityIn, clusterIn } from "../../../src/server/cluster-keys.ts";
import { ensureCluster, firstToken } from "../../../src/server/first-start.ts";
import { certifyHosts } from "../../../src/server/host-certificates.ts";
import { isPinned, Joins, type Peer } from "../../../src/server/joins.ts";
import { TlsPort, type TlsPortLimits } from "../../../src/server/port/tls-port.ts";
import { Tokens } from "../../../src/server/tokens.ts";
import { anApi, type FakeAgent, MemoryStore } from "../api/fixture.ts";
import { factsOfNode } from "./rig.ts";

/** Real timers, and a time of day that a test sets. */
export class SetClock implements Clock {
  constructor(public time = Date.parse("2026-11-25T12:00:00Z")) {}

  now(): number {
    return this.time;
  }

  monotonicNow(): number {
    return systemClock.monotonicNow();
  }

  after(delayMs: number, run: () => void) {
    return systemClock.after(delayMs, run);
  }
}

/** The store, tokens and joins of a cluster after its first start; no port. */
export async function aCluster() {
  const store = new MemoryStore();
  const clock = new SetClock();
  await ensureCluster(store, clock);
  const token = await firstToken(store, clock, systemRandom);
  const deps = { store, clock, random: systemRandom, servers: () => ["192.0.2.1:6770"] };
  return {
    store,
    clock,
    firstToken: token ?? "",
    tokens: new Tokens(deps),
    joins: new Joins(deps),
    authority: authorityIn(store.view()),
    caKey: clusterIn(store.view()).caKey,
  };
}
export type TestCluster = Awaited<ReturnType<typeof aCluster>>;

/** The secret in a token's text. */
export function secretOf(text: string): string {
  const parsed = parseToken(text);
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.value.secret;
}

export async function aJoinRequest(
  token: string,
  over: Partial<JoinRequest> & { key?: string } = {},
): Promise<JoinRequest> {
  const { key = await newKey(), ...request } = over;
  const facts = { ...factsOfNode(), runtime: { name: "podman", version: "4.3" } };
  return { secret: secretOf(token), csr: await newRequest(key), facts, labels: {}, ...request };
}

/** A node that has joined, with its key and certificate. */
export async function aJoinedNode({ joins, firstToken }: TestCluster, name: string) {
  const key = await newKey();
  const answer = await joins.join(await aJoinRequest(firstToken, { key, name }));
  return { key, certificate: answer.certificate, nodeId: answer.nodeId };
}

export interface Session {
  peer: Peer;
  socket: Duplex;
}

/** A whole server at its TLS port, on loopback, without agents. */
export class PortRig {
  readonly cluster: TestCluster;
  readonly port: TlsPort;
  readonly serverCertificate: string;
  readonly calls: unknown[][];
  readonly sessions: Session[] = [];
  readonly logged: string[];
  readonly #people: ApiListener;
  readonly #directory: string;

  private constructor(
    cluster: TestCluster,
    parts: { port: TlsPort; certificate: string; people: ApiListener; directory: string },
    seen: { calls: unknown[][]; logged: string[]; sessions: Session[] },
  ) {
    this.cluster = cluster;
    this.port = parts.port;
    this.serverCertificate = parts.certificate;
    this.#people = parts.people;
    this.#directory = parts.directory;
    this.calls = seen.calls;
    this.logged = seen.logged;
    this.sessions = seen.sessions;
  }

  /** @param agents those that people reach through the server */
  static async open(
    limits: Partial<TlsPortLimits> = {},
    agents: FakeAgent[] = [],
  ): Promise<PortRig> {
    const cluster = await aCluster();
    const { store, clock, joins, tokens, authority } = cluster;
    const { deps, calls } = await anApi({}, agents);
    const directory = mkdtempSync(join(tmpdir(), "orchd-port-"));
    const socketPath = join(directory, "people.sock");
    const logged: string[] = [];
    const line = (text: string) => void logged.push(text);
    const log = { info: line, warn: line, error: line };
    const api = createApi({ ...deps, ...forTokens(cluster), store, log });
    const guard = (header: string | undefined) => tokens.admit(header);
    const people = await serveApi(api, { socketPath, guard });
    const server = await authority.issueServer();
    const sessions: Session[] = [];
    const port = await TlsPort.open({
      host: "127.0.0.1",
      port: 0,
      server,
      ca: authority.certificate,
      clock,
      log,
      peopleSocket: socketPath,
      isPinned: (nodeId, keyDigest) => isPinned(store.view().nodes.get(nodeId), keyDigest),
      renew: (peer, csr) => joins.renew(peer, csr),
      certifyHosts: (request) => certifyHosts({ ...cluster, contentOf: () => undefined }, request),
      images: () => smallAnswer(new Response("an image")),
      onSession: (peer, request, socket, head) => accept(sessions, { peer, request, socket, head }),
      limits,
    });
    const parts = { port, certificate: server.certificate, people, directory };
    return new PortRig(cluster, parts, { calls, logged, sessions });
  }

  get address(): string {
    return `127.0.0.1:${this.port.port}`;
  }

  get ca(): string {
    return clusterIn(this.cluster.store.view()).caCertificate;
  }

  async removeNode(nodeId: NodeId): Promise<void> {
    const node = this.cluster.store.view().nodes.get(nodeId);
    if (node !== undefined) await this.cluster.store.commit([remove.node(node)]);
    this.port.disconnect(nodeId);
  }

  async close(): Promise<void> {
    await this.port.close();
    await this.#people.close();
    rmSync(this.#directory, { recursive: true });
  }
}

function forTokens({ tokens, joins }: TestCluster) {
  return {
    join: (request: JoinRequest) => joins.join(request),
    createToken: tokens.create.bind(tokens),
    rotateToken: tokens.rotate.bind(tokens),
    revokeToken: tokens.revoke.bind(tokens),
  };
}

interface Upgrade extends Session {
  request: IncomingMessage;
  head: Buffer;
}

/** Says yes, and then echoes. */
function accept(sessions: Session[], { peer, socket }: Upgrade): void {
  sessions.push({ peer, socket });
  socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: test\r\n\r\n");
  socket.on("data", (data: Buffer) => void socket.write(data));
}

export interface Credentials {
  key: string;
  certificate: string;
}

export interface RawAnswer {
  /** Of the answer; 0 when the connection ended without one. */
  status: number;
  text: string;
}

/** Sends `text` over TLS, whoever the server says it is, and reads until the connection ends. */
export function askRaw(rig: PortRig, text: string, as?: Credentials): Promise<RawAnswer> {
  return new Promise((resolve) => {
    const socket = connectTo(rig, as);
    let received = "";
    socket.on("secureConnect", () => void socket.write(text));
    socket.on("data", (data: Buffer) => (received += data.toString()));
    socket.on("error", () => {});
    socket.on("close", () => {
      const [, status = "0"] = /^HTTP\/1\.1 (\d{3})/.exec(received) ?? [];
      resolve({ status: Number(status), text: received.slice(received.indexOf("\r\n\r\n") + 4) });
    });
  });
}

export function connectTo(
  rig: PortRig,
  as?: Credentials,
  over: tls.ConnectionOptions = {},
): tls.TLSSocket {
  const options: tls.ConnectionOptions = {
    host: "127.0.0.1",
    port: rig.port.port,
    servername: "server.orchd",
    rejectUnauthorized: false,
    ...(as === undefined ? {} : { key: as.key, cert: as.certificate }),
    ...over,
  };
  return tls.connect(options) as tls.TLSSocket;
}

/** `POST /v1/certificate` and the like, on a connection of its own. */
export function request(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): string {
  const text = body === undefined ? "" : JSON.stringify(body);
  const all = {
    host: "orchd",
    connection: "close",
    ...(body === undefined ? {} : { "content-type": "application/json" }),
    "content-length": String(Buffer.byteLength(text)),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return [`${method} ${path} HTTP/1.1`, ...lines, "", text].join("\r\n");
}

export function upgrade(path = "/v1/session"): string {
  return `GET ${path} HTTP/1.1\r\nhost: orchd\r\nconnection: upgrade\r\nupgrade: test\r\n\r\n`;
}

/** What an error answer says. */
export function sentenceIn({ text }: RawAnswer): string {
  const { error } = JSON.parse(text) as { error: { message: string } };
  return error.message;
}
