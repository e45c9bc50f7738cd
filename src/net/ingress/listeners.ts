import type { TCPSocketListener } from "bun";
import { createSecureContext, createServer, type SecureContext, type Server } from "node:tls";
import { OrchdError, systemCodeOf } from "../../lib/errors.ts";
import { BunWire, WIRE_EVENTS } from "./bun-wire.ts";
import type { Proxy } from "./proxy.ts";
import { TlsWire } from "./tls-wire.ts";

const HANDSHAKE_MS = 10_000;
/** After so much silence the kernel asks whether the client is still there. */
const KEEPALIVE_MS = 60_000;

/** A key with the certificate that goes with it, both PEM. */
export interface Credentials {
  key: string;
  certificate: string;
}

/** Knows what a host's name is proved with. */
export interface CertificateSource {
  /** Undefined where the host has none. A new one is another object. */
  certificateFor(host: string): Credentials | undefined;
}

/** A port of this machine on which clients are taken. */
export interface Listener {
  readonly port: number;
  /** Takes no more clients; those that are there stay. */
  close(): void;
}

/**
 * Takes clients over plain HTTP.
 * @throws OrchdError `conflict` when another program has the port, `forbidden`
 */
export function listenHttp(proxy: Proxy, hostname: string, port: number): Listener {
  const open = (host: string): TCPSocketListener<BunWire> =>
    Bun.listen<BunWire>({
      hostname: host,
      port,
      allowHalfOpen: true,
      socket: {
        ...WIRE_EVENTS,
        open: (socket) => {
          socket.setNoDelay(true);
          socket.setKeepAlive(true, KEEPALIVE_MS);
          proxy.accept(false, (handler) => (socket.data = new BunWire(socket, handler)));
        },
      },
    });
  try {
    const listener = open(hostname);
    return { port: listener.port, close: () => listener.stop() };
  } catch (cause) {
    throw refused(port, cause);
  }
}

/**
 * Takes clients over HTTPS, each with the certificate of the host that it names. A client that
 * names a host without one, or none, is sent away.
 * @throws OrchdError `conflict` when another program has the port, `forbidden`
 */
export async function listenHttps(
  proxy: Proxy,
  certificates: CertificateSource,
  hostname: string,
  port: number,
): Promise<Listener> {
  const contexts = new WeakMap<Credentials, SecureContext>();
  const contextFor = (host: string): SecureContext | undefined => {
    const credentials = certificates.certificateFor(host.toLowerCase());
    if (credentials === undefined) return undefined;
    const known = contexts.get(credentials);
    if (known !== undefined) return known;
    const { key, certificate: cert } = credentials;
    const made = createSecureContext({ key, cert, minVersion: "TLSv1.2" });
    contexts.set(credentials, made);
    return made;
  };
  const server = createServer(
    {
      ALPNProtocols: ["http/1.1"],
      handshakeTimeout: HANDSHAKE_MS,
      allowHalfOpen: true,
      SNICallback: (name, done) => {
        const context = contextFor(name);
        if (context === undefined) done(new Error("no certificate for this name"));
        else done(null, context);
      },
    },
    (socket) => {
      socket.setNoDelay(true);
      socket.setKeepAlive(true, KEEPALIVE_MS);
      proxy.accept(true, (handler) => new TlsWire(socket, handler));
    },
  );
  // Whoever fails to shake hands is no client; without a listener it would end the process.
  server.on("tlsClientError", (_error, socket) => void socket.destroy());
  await opened(server, hostname, port);
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    close: () => void server.close(),
  };
}

function opened(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => reject(refused(port, cause)));
    server.listen({ host, port }, () => resolve());
  });
}

function refused(port: number, cause: unknown): OrchdError {
  if (systemCodeOf(cause) === "EADDRINUSE") {
    const message = `port ${port} is in use by another program on this machine`;
    return new OrchdError("conflict", message, { cause });
  }
  return new OrchdError("forbidden", `port ${port} can't be opened on this machine`, { cause });
}
