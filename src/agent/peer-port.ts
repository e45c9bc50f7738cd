import { X509Certificate } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import * as tls from "node:tls";
import type { Clock } from "../lib/clock.ts";
import { messageOf } from "../lib/errors.ts";
import type { PeerAnswer } from "../images/peer-answer.ts";
import type { Log } from "../lib/log.ts";
import { PEER_PORT } from "../model/image-peer.ts";
import type { NodeId } from "../model/ids.ts";
import type { Identity } from "../model/join.ts";
import { checkPeer } from "../pki/check-peer.ts";
import { sendPieces } from "./send-pieces.ts";

const CONNECTIONS_MAX = 64;
/** Transfers at once: more only share the same link, and none of them would be a source soon. */
const TRANSFERS_MAX = 8;
const FIRST_REQUEST_WITHIN_MS = 10_000;

export interface PeerPortOptions {
  identity: () => Identity;
  clock: Clock;
  log: Log;
  /** Whether a node is one of the cluster, as far as this one knows. */
  isMember: (nodeId: NodeId) => boolean;
  /** Answers from what is here, and asks nobody else. */
  answer(request: Request): Promise<PeerAnswer>;
}

/** The port where this node gives other nodes of the cluster what it has of images. */
export class PeerPort {
  readonly #options: PeerPortOptions;
  readonly #http: Server;
  readonly #listener: tls.Server;
  readonly #connections = new Set<Duplex>();
  /** Those of them that have asked for something. */
  readonly #asked = new WeakSet<Duplex>();
  #transfers = 0;

  private constructor(options: PeerPortOptions) {
    this.#options = options;
    this.#http = createServer((request, response) => void this.#answer(request, response));
    this.#http.on("clientError", (_error: Error, socket: Duplex) => socket.destroy());
    this.#listener = tls.createServer(this.#secrets());
    this.#listener.on("connection", (socket: Duplex) => this.#onConnection(socket));
    this.#listener.on("secureConnection", (socket) => this.#onSecure(socket));
  }

  /** Undefined where the port can't be had: the node then only takes. */
  static async open(options: PeerPortOptions, on = PEER_PORT): Promise<PeerPort | undefined> {
    const port = new PeerPort(options);
    try {
      await new Promise<void>((resolve, reject) => {
        port.#listener.once("error", reject);
        port.#listener.listen(on, resolve);
      });
    } catch (error) {
      const why = messageOf(error);
      options.log.info(`other nodes get no images from this one, port ${on}: ${why}`);
      return undefined;
    }
    port.#listener.on("error", (error: Error) =>
      options.log.error(`the port for images: ${error.message}`),
    );
    return port;
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  /** The node has a new certificate. */
  renew(): void {
    this.#listener.setSecureContext(this.#secrets());
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#listener.close(() => resolve()));
    for (const socket of this.#connections) socket.destroy();
    await closed;
  }

  #secrets(): tls.TlsOptions {
    const { key, certificate, caCertificate } = this.#options.identity();
    return {
      key,
      cert: certificate,
      ca: caCertificate,
      requestCert: true,
      // Whether a certificate is good is decided where it can be seen.
      rejectUnauthorized: false,
      minVersion: "TLSv1.3",
    };
  }

  #onConnection(socket: Duplex): void {
    socket.on("error", () => {});
    if (this.#connections.size >= CONNECTIONS_MAX) return void socket.destroy();
    this.#connections.add(socket);
    const { clock } = this.#options;
    const deadline = clock.after(FIRST_REQUEST_WITHIN_MS, () => {
      if (!this.#asked.has(socket)) socket.destroy();
    });
    socket.on("close", () => {
      deadline.cancel();
      this.#connections.delete(socket);
    });
  }

  #onSecure(socket: tls.TLSSocket): void {
    socket.on("error", () => {});
    const { raw } = socket.getPeerCertificate() as Partial<tls.PeerCertificate>;
    const { identity, clock, isMember } = this.#options;
    const ca = new X509Certificate(identity().caCertificate);
    const check = raw && checkPeer(raw, ca, clock.now());
    // One that ran out proves the key all the same: where no server is, none is renewed.
    const isGood = check !== undefined && check.state !== "refused" && isMember(check.nodeId);
    if (!isGood) return void socket.destroy();
    this.#http.emit("connection", socket);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#asked.add(request.socket);
    const isRead = request.method === "GET" && request.url?.startsWith("/v2/") === true;
    if (!isRead || this.#transfers >= TRANSFERS_MAX) {
      response.statusCode = isRead ? 429 : 403;
      return void response.end();
    }
    this.#transfers += 1;
    try {
      const { range } = request.headers;
      const headers = range === undefined ? {} : { range };
      const asked = new Request(`http://orchd${request.url}`, { headers });
      const answer = await this.#options.answer(asked);
      response.writeHead(answer.status, answer.headers);
      await sendPieces(answer.pieces, response);
    } catch {
      // The other node went away, or the transfer here broke: it asks elsewhere.
      response.destroy();
    } finally {
      this.#transfers -= 1;
    }
  }
}
