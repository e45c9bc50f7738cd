import type { PeerAnswer } from "../../images/peer-answer.ts";
import { constants, type X509Certificate } from "node:crypto";
import type { IncomingMessage, Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import * as tls from "node:tls";
import type { Clock, Timer } from "../../lib/clock.ts";
import { OrchdError, systemCodeOf } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import type { NodeId } from "../../model/ids.ts";
import type {
  CertificateAnswer,
  HostCertificatesAnswer,
  HostCertificatesRequest,
} from "../../model/join.ts";
import { formatServerAddress } from "../../model/server-address.ts";
import type { KeyAndCertificate } from "../../pki/authority.ts";
import { checkPeer } from "../../pki/check-peer.ts";
import type { Peer } from "../joins.ts";
import { type AgentPeer, agentServer } from "./agents.ts";
import { pipePeople } from "./people.ts";
import { type Refusal, Refusals } from "./refusals.ts";

export interface TlsPortLimits {
  /** All connections: those of nodes, of people, and of whoever else comes. */
  connectionsMax: number;
  /** Of them those that have asked for nothing yet; the one that waits longest makes room. */
  waitingMax: number;
  /** Of them those without a certificate that have asked for something, and may be anybody's. */
  peopleMax: number;
  /** Of them those of one node: its session, one that is about to take its place, a renewal. */
  perNodeMax: number;
  /** From the first packet to the end of the handshake and a first whole request. */
  firstRequestWithinMs: number;
}

const LIMITS: TlsPortLimits = {
  connectionsMax: 16_384,
  waitingMax: 512,
  peopleMax: 1024,
  perNodeMax: 16,
  firstRequestWithinMs: 10_000,
};

export interface TlsPortOptions {
  host: string;
  /** 0 takes any that is free. */
  port: number;
  server: KeyAndCertificate;
  ca: X509Certificate;
  clock: Clock;
  log: Log;
  /** Where the server for people listens, which takes tokens. */
  peopleSocket: string;
  /** Whether a node is there and this is its key. Asked at every handshake and every request. */
  isPinned(nodeId: NodeId, keyDigest: string): boolean;
  renew(peer: Peer, csr: string): Promise<CertificateAnswer>;
  certifyHosts(request: HostCertificatesRequest): Promise<HostCertificatesAnswer>;
  /** Answers a node's request for an image. */
  images(nodeId: NodeId, request: Request): Promise<PeerAnswer>;
  /** A node wants a session: the arguments are those of a WebSocket server's `handleUpgrade`. */
  onSession(peer: Peer, request: IncomingMessage, socket: Duplex, head: Buffer): void;
  limits?: Partial<TlsPortLimits>;
}

interface Connection {
  /** Set while nothing was asked yet. */
  deadline: Timer | undefined;
  peer: AgentPeer | undefined;
}

/**
 * The port on which others than root reach a server: TLS 1.3, with or without a certificate. One
 * with a certificate is a node, checked here whatever the TLS library thinks of it; one without is
 * passed on to the server for people, which asks for a token. A certificate that is not perfect
 * ends its connection: it never becomes a person's.
 */
export class TlsPort {
  readonly #options: TlsPortOptions;
  readonly #limits: TlsPortLimits;
  readonly #refusals: Refusals;
  readonly #agents: HttpServer;
  readonly #listener: tls.Server;
  /** In the order in which they came. */
  readonly #connections = new Map<Duplex, Connection>();
  readonly #waiting = new Set<tls.TLSSocket>();
  readonly #people = new Set<tls.TLSSocket>();

  private constructor(options: TlsPortOptions) {
    const { clock, log, server, ca } = options;
    this.#options = options;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#refusals = new Refusals(clock, log);
    this.#agents = agentServer({
      log,
      peerOf: (socket) => this.#peerOf(socket),
      renew: (peer, csr) => options.renew(peer, csr),
      certifyHosts: (request) => options.certifyHosts(request),
      onSession: (peer, request, socket, head) => {
        this.#hasAsked(request.socket as tls.TLSSocket);
        options.onSession(peer, request, socket, head);
      },
      images: (nodeId, request) => options.images(nodeId, request),
      onLongRequest: (socket) => this.#hasAsked(socket as tls.TLSSocket),
      onBadRequest: (socket) => this.#refuse(socket as tls.TLSSocket, "badRequest"),
    });
    this.#listener = tls.createServer({
      key: server.key,
      cert: server.certificate,
      ca: ca.toString(),
      requestCert: true,
      // Whether a certificate is good is decided here, where it can be seen.
      rejectUnauthorized: false,
      minVersion: "TLSv1.3",
      // Nothing is resumed: every connection shows its certificate, and is checked by it.
      secureOptions: constants.SSL_OP_NO_TICKET,
    });
    this.#listener.on("connection", (socket) => this.#onConnection(socket as tls.TLSSocket));
    this.#listener.on("secureConnection", (socket) => this.#onSecure(socket));
    this.#listener.on("tlsClientError", (_error, socket) => {
      // One that was ended for another reason breaks off its handshake as well.
      if (this.#connections.has(socket)) this.#refuse(socket, "handshake");
    });
  }

  /** @throws OrchdError `conflict` when the port is taken, `forbidden`, `invalid` */
  static async open(options: TlsPortOptions): Promise<TlsPort> {
    const port = new TlsPort(options);
    await new Promise<void>((resolve, reject) => {
      const onError = (error: Error) => reject(classify(options, error));
      port.#listener.once("error", onError);
      port.#listener.listen(options.port, options.host, () => {
        port.#listener.off("error", onError);
        port.#listener.on("error", (error: Error) =>
          options.log.error(`the TLS port: ${error.message}`),
        );
        resolve();
      });
    });
    return port;
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  /** How many connections there are, and how many of them have asked for nothing yet. */
  get connections(): { open: number; waiting: number } {
    return { open: this.#connections.size, waiting: this.#waiting.size };
  }

  /** How many connections were refused, by reason, since the start. */
  get refusals(): ReadonlyMap<Refusal, number> {
    return this.#refusals.counts;
  }

  /** Ends whatever a node has open here; to be called when it is removed. */
  disconnect(nodeId: NodeId): void {
    for (const [socket, { peer }] of this.#connections) {
      if (peer?.nodeId === nodeId) socket.destroy();
    }
  }

  /** Takes no more connections and ends those that are there. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#listener.close(() => resolve()));
    for (const socket of this.#connections.keys()) socket.destroy();
    await closed;
  }

  #onConnection(socket: tls.TLSSocket): void {
    // Whatever breaks ends the connection; there is nobody to tell.
    socket.on("error", () => {});
    if (this.#connections.size >= this.#limits.connectionsMax) {
      return this.#refuse(socket, "tooManyConnections");
    }
    const deadline = this.#options.clock.after(this.#limits.firstRequestWithinMs, () =>
      this.#refuse(socket, "silent"),
    );
    this.#connections.set(socket, { deadline, peer: undefined });
    this.#waiting.add(socket);
    socket.on("close", () => this.#forget(socket));
    const [longest] = this.#waiting;
    if (this.#waiting.size > this.#limits.waitingMax && longest !== undefined) {
      this.#refuse(longest, "tooManyWaiting");
    }
  }

  #onSecure(socket: tls.TLSSocket): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return void socket.destroy();
    const certificate = certificateOf(socket);
    if (certificate === undefined) return this.#onPerson(socket);
    const { ca, clock } = this.#options;
    const check = checkPeer(certificate, ca, clock.now());
    if (check.state === "refused") return this.#refuse(socket, check.reason);
    const { nodeId, keyDigest, state } = check;
    // A node that was removed hears so, as the answer to whatever it asks: `#peerOf` knows it not.
    if (!this.#options.isPinned(nodeId, keyDigest)) this.#count(socket, "unknownNode");
    // One node, or a hundred copies of it, must not take the room of all others.
    const others = [...this.#connections.values()].filter(({ peer }) => peer?.nodeId === nodeId);
    if (others.length >= this.#limits.perNodeMax) return this.#refuse(socket, "tooManyConnections");
    connection.peer = { nodeId, keyDigest, isValid: state === "valid" };
    this.#agents.emit("connection", socket);
  }

  #onPerson(socket: tls.TLSSocket): void {
    const { clock, peopleSocket } = this.#options;
    pipePeople(socket, {
      clock,
      socketPath: peopleSocket,
      onRequest: () => {
        if (this.#people.size >= this.#limits.peopleMax) {
          return this.#refuse(socket, "tooManyConnections");
        }
        this.#people.add(socket);
        this.#hasAsked(socket);
      },
      onRefuse: () => this.#refuse(socket, "badRequest"),
    });
  }

  #peerOf(socket: Duplex): AgentPeer | undefined {
    const peer = this.#connections.get(socket)?.peer;
    if (peer === undefined) return undefined;
    return this.#options.isPinned(peer.nodeId, peer.keyDigest) ? peer : undefined;
  }

  /** From here on the connection may be as quiet as it likes. */
  #hasAsked(socket: tls.TLSSocket): void {
    this.#connections.get(socket)?.deadline?.cancel();
    this.#waiting.delete(socket);
  }

  #refuse(socket: tls.TLSSocket, reason: Refusal): void {
    this.#count(socket, reason);
    this.#forget(socket);
    socket.destroy();
  }

  #count(socket: tls.TLSSocket, reason: Refusal): void {
    this.#refusals.add(reason, socket.remoteAddress ?? "an unknown address");
  }

  #forget(socket: tls.TLSSocket): void {
    this.#hasAsked(socket);
    this.#people.delete(socket);
    this.#connections.delete(socket);
  }
}

/** As it came in the handshake, whether the TLS library believes it or not. */
function certificateOf(socket: tls.TLSSocket): Uint8Array | undefined {
  const { raw } = socket.getPeerCertificate() as Partial<tls.PeerCertificate>;
  return raw;
}

function classify({ host, port }: TlsPortOptions, cause: Error): OrchdError {
  const at = formatServerAddress(host, port);
  switch (systemCodeOf(cause)) {
    case "EADDRINUSE": {
      const message = `something else listens on ${at}: stop it, or name another with --listen`;
      return new OrchdError("conflict", message, { cause });
    }
    case "EACCES":
    case "EPERM": {
      const message = `orchd may not listen on ${at}: run as root, or name another with --listen`;
      return new OrchdError("forbidden", message, { cause });
    }
    default: {
      const message = `can't listen on ${at}: name an address of this machine with --listen`;
      return new OrchdError("invalid", message, { cause });
    }
  }
}
