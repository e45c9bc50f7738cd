import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { sendPieces } from "../../agent/send-pieces.ts";
import type { PeerAnswer } from "../../images/peer-answer.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import { problemOf } from "../../api/problem.ts";
import type { z } from "zod";
import {
  type CertificateAnswer,
  certificateRequestSchema,
  HOST_CERTIFICATES_PATH,
  type HostCertificatesAnswer,
  type HostCertificatesRequest,
  hostCertificatesRequestSchema,
} from "../../model/join.ts";
import { INSIST_HEADER, PEER_HEADER } from "../../model/image-peer.ts";
import type { NodeId } from "../../model/ids.ts";
import { SESSION_PATH, STATUS_PATH } from "../../session/refusal.ts";
import type { Peer } from "../joins.ts";

const BODY_BYTES_MAX = 32 * 1024;

/** A peer whose certificate is one of a node that is there. */
export interface AgentPeer extends Peer {
  /** Whether it may do more than ask for a new certificate. */
  isValid: boolean;
}

export interface AgentRoutes {
  log: Log;
  /** Who stands behind a connection; undefined when its node was removed. */
  peerOf(socket: Duplex): AgentPeer | undefined;
  renew(peer: Peer, csr: string): Promise<CertificateAnswer>;
  certifyHosts(request: HostCertificatesRequest): Promise<HostCertificatesAnswer>;
  onSession(peer: Peer, request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Answers from the images that the site keeps. */
  images(nodeId: NodeId, request: Request): Promise<PeerAnswer>;
  /** The connection goes on for as long as its request takes. */
  onLongRequest(socket: Duplex): void;
  onBadRequest(socket: Duplex): void;
}

/**
 * What nodes may ask with their certificate: a session, a new certificate, certificates for the
 * hosts of the ingress, and the images that the site keeps. It shares nothing with the API of
 * people, so that no address of that one can be reached from here.
 */
export function agentServer(routes: AgentRoutes): Server {
  const server = createServer((request, response) => {
    void answer(routes, request, response);
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const peer = routes.peerOf(request.socket);
    const problem = whyNoSession(peer, request);
    if (problem === undefined && peer !== undefined) {
      return routes.onSession(peer, request, socket, head);
    }
    const { status, body } = problemOf(problem, routes.log);
    const text = JSON.stringify(body);
    socket.end(
      `HTTP/1.1 ${status} Refused\r\ncontent-type: application/json\r\nconnection: close\r\n` +
        `content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
    );
  });
  server.on("clientError", (_error: Error, socket: Duplex) => routes.onBadRequest(socket));
  return server;
}

function whyNoSession(
  peer: AgentPeer | undefined,
  request: IncomingMessage,
): OrchdError | undefined {
  if (peer === undefined) return removed();
  if (request.url !== SESSION_PATH || request.method !== "GET") return forbidden();
  return whyNotValid(peer);
}

function whyNotValid({ isValid }: AgentPeer): OrchdError | undefined {
  if (isValid) return undefined;
  const message = "the node's certificate is not valid now: ask for a new one first";
  return new OrchdError("certificateExpired", message);
}

async function answer(
  routes: AgentRoutes,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // One request each: whoever wants to stay has a session.
  response.setHeader("connection", "close");
  response.setHeader("content-type", "application/json");
  try {
    const peer = routes.peerOf(request.socket);
    if (peer === undefined) throw removed();
    if (request.url === STATUS_PATH && request.method === "GET") {
      const problem = whyNotValid(peer);
      if (problem !== undefined) throw problem;
      return void response.end("{}");
    }
    if (request.method === "GET" && request.url?.startsWith("/v2/") === true) {
      const problem = whyNotValid(peer);
      if (problem !== undefined) throw problem;
      routes.onLongRequest(request.socket);
      return await passOn(await routes.images(peer.nodeId, imageRequest(request)), response);
    }
    if (request.method !== "POST") throw forbidden();
    response.end(JSON.stringify(await answerPost(routes, peer, request)));
  } catch (error) {
    // The last place before the wire: everything becomes a problem with its status.
    const { status, body } = problemOf(error, routes.log);
    response.statusCode = status;
    response.end(JSON.stringify(body));
  }
}

function imageRequest({ url = "/", headers }: IncomingMessage): Request {
  const passed = ["range", PEER_HEADER, INSIST_HEADER].flatMap((name) => {
    const value = headers[name];
    return typeof value === "string" ? [[name, value] as [string, string]] : [];
  });
  return new Request(`http://orchd${url}`, { headers: passed });
}

/** Sends an answer no faster than it is taken. */
async function passOn(answer: PeerAnswer, response: ServerResponse): Promise<void> {
  response.writeHead(answer.status, answer.headers);
  try {
    await sendPieces(answer.pieces, response);
  } catch {
    // The node went away, or the disk failed: it misses bytes, and asks again.
    response.destroy();
  }
}

async function answerPost(
  routes: AgentRoutes,
  peer: AgentPeer,
  request: IncomingMessage,
): Promise<unknown> {
  if (request.url === "/v1/certificate") {
    const { csr } = parseBody(certificateRequestSchema, await readBody(request));
    return routes.renew(peer, csr);
  }
  if (request.url !== HOST_CERTIFICATES_PATH) throw forbidden();
  const problem = whyNotValid(peer);
  if (problem !== undefined) throw problem;
  return routes.certifyHosts(parseBody(hostCertificatesRequestSchema, await readBody(request)));
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new OrchdError("tooLarge", "the body is larger than 32 KiB");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function parseBody<T>(schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    // Neither the parser's nor the schema's words are for a machine; the text is not repeated.
    throw new OrchdError("invalid", "the body is no certificate request");
  }
}

function removed(): OrchdError {
  return new OrchdError("removed", "the node was removed: join again with a token");
}

function forbidden(): OrchdError {
  const message =
    "a node's certificate opens sessions, gets certificates and reads images: use a token else";
  return new OrchdError("forbidden", message);
}
