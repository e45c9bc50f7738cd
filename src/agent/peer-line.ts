import { X509Certificate } from "node:crypto";
import { Agent } from "node:http";
import * as tls from "node:tls";
import type { Clock } from "../lib/clock.ts";
import type { Identity } from "../model/join.ts";
import { splitServerAddress } from "../model/server-address.ts";
import { checkPeer } from "../pki/check-peer.ts";
import { broken, type ImageAnswer, requestImage } from "./image-request.ts";

const CONNECT_WITHIN_MS = 5000;

export interface PeerLineOptions {
  identity: () => Identity;
  clock: Clock;
  /** The node can't be reached, or says nothing. */
  onGone(this: void, peer: string): void;
}

/** A connection to another node, on which it is asked for one part of an image after another. */
export class PeerLine {
  readonly #peer: string;
  readonly #options: PeerLineOptions;
  readonly #secure: tls.TLSSocket;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  private constructor(peer: string, options: PeerLineOptions, secure: tls.TLSSocket) {
    this.#peer = peer;
    this.#options = options;
    this.#secure = secure;
    Object.assign(this.#agent, { createConnection: () => secure });
  }

  /** @throws OrchdError `unreachable` (retryable) */
  static async open(peer: string, options: PeerLineOptions): Promise<PeerLine> {
    try {
      return new PeerLine(peer, options, await connect(peer, options));
    } catch (error) {
      options.onGone(peer);
      throw error;
    }
  }

  /** A line that the other node closed can be asked no more. */
  get isOpen(): boolean {
    return !this.#secure.destroyed;
  }

  /** @throws OrchdError `unreachable` (retryable) */
  ask(path: string, headers: Record<string, string>): Promise<ImageAnswer> {
    const { clock, onGone } = this.#options;
    const connection = {
      secure: this.#secure,
      to: `the node at ${this.#peer}`,
      agent: this.#agent,
      clock,
      onSilence: () => onGone(this.#peer),
    };
    return requestImage(connection, path, headers);
  }

  close(): void {
    this.#agent.destroy();
    this.#secure.destroy();
  }
}

/** A node has a certificate of the cluster, whatever its address. */
function connect(peer: string, { identity, clock }: PeerLineOptions): Promise<tls.TLSSocket> {
  const { caCertificate, certificate, key } = identity();
  const ca = new X509Certificate(caCertificate);
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      ...splitServerAddress(peer),
      key,
      cert: certificate,
      minVersion: "TLSv1.3",
      // Who it is is decided below: its certificate is no server's and names no host.
      rejectUnauthorized: false,
    }) as tls.TLSSocket;
    const fail = (cause?: Error) => {
      timer.cancel();
      socket.destroy();
      reject(broken(`the node at ${peer} can't be reached`, cause));
    };
    const timer = clock.after(CONNECT_WITHIN_MS, () => fail());
    socket.on("error", fail);
    socket.on("close", () => fail());
    socket.on("secureConnect", () => {
      const { raw } = socket.getPeerCertificate() as Partial<tls.PeerCertificate>;
      const check = raw && checkPeer(raw, ca, clock.now());
      if (check === undefined || check.state === "refused") return fail();
      timer.cancel();
      resolve(socket);
    });
  });
}
