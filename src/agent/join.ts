import { X509Certificate } from "node:crypto";
import { provenCa } from "../api/client-ca.ts";
import { callFor } from "../api/client-call.ts";
import { OrchdError } from "../lib/errors.ts";
import { plural } from "../lib/text.ts";
import {
  type CertificateAnswer,
  certificateAnswerSchema,
  HOST_CERTIFICATES_PATH,
  type HostCertificatesAnswer,
  hostCertificatesAnswerSchema,
  type HostCertificatesRequest,
  type Identity,
  joinAnswerSchema,
} from "../model/join.ts";
import type { NodeLink } from "../model/link.ts";
import type { NodeFacts } from "../model/node.ts";
import type { TokenText } from "../model/token-text.ts";
import { checkPeer } from "../pki/check-peer.ts";
import { digestOfKey } from "../pki/digest.ts";
import { publicKeyOf } from "../pki/keys.ts";
import { newRequest } from "../pki/request.ts";

export interface JoinOptions {
  /** `host:port` of each server to try, in this order. */
  servers: readonly string[];
  token: TokenText;
  /** PEM: saved before, so that joining once more is the same node. */
  key: string;
  facts: NodeFacts;
  labels: Readonly<Record<string, string>>;
  link?: NodeLink;
  /** What the node is called, instead of its host name. */
  name?: string;
  /** How long each server may take to answer once it is connected. */
  answerTimeoutMs?: number;
}

/**
 * Makes this machine a node. The first server that is proved by the token's digest decides; those
 * that can't be reached, or are something else, are passed over.
 * @throws OrchdError what that server said, or for each address what was found there
 */
export async function joinCluster(options: JoinOptions): Promise<Identity> {
  const { servers } = options;
  const failures: OrchdError[] = [];
  for (const server of servers) {
    let ca: string;
    try {
      ca = await provenCa(server, options.token, options.answerTimeoutMs);
    } catch (error) {
      if (!(error instanceof OrchdError)) throw error;
      failures.push(error);
      continue;
    }
    return joinAt(server, ca, options);
  }
  const [first] = failures;
  if (first === undefined) throw new OrchdError("usage", "no server is named to join at");
  if (failures.length === 1) throw first;
  const found = failures.map(({ message }) => message).join("; ");
  const none = `none of ${plural(failures.length, "server")} lets this machine join`;
  throw new OrchdError(first.code, `${none}: ${found}`, { retryable: first.retryable });
}

async function joinAt(server: string, ca: string, options: JoinOptions): Promise<Identity> {
  const { token, key, facts, labels, link, name, answerTimeoutMs } = options;
  const csr = await newRequest(key);
  const body = {
    secret: token.secret,
    csr,
    facts,
    labels,
    ...(link && { link }),
    ...(name === undefined ? {} : { name }),
  };
  const call = { server, method: "POST", path: "/v1/join", ca, body, answerTimeoutMs } as const;
  const answer = await callFor(joinAnswerSchema, call);
  refuseForeign(server, { ...answer, caCertificate: ca }, key);
  // What was proved is kept, not what came with the answer.
  const servers = [server, ...answer.servers.filter((other) => other !== server)];
  return withoutUndefined({ ...answer, caCertificate: ca, servers, key });
}

/**
 * A new certificate for the key that the node has, also when the old one has run out.
 * @param server `host:port`
 * @throws OrchdError `forbidden` when the node was removed, `unreachable`
 */
export async function renewCertificate(
  identity: Identity,
  server: string,
): Promise<CertificateAnswer> {
  const { key, certificate, caCertificate } = identity;
  const answer = await callFor(certificateAnswerSchema, {
    server,
    method: "POST",
    path: "/v1/certificate",
    ca: caCertificate,
    identity: { key, certificate },
    body: { csr: await newRequest(key) },
  });
  refuseForeign(server, { ...identity, certificate: answer.certificate }, key);
  return answer;
}

/**
 * Certificates for hosts of the ingress, of a key that the node made for them.
 * @param server `host:port`
 * @throws OrchdError what the server said, `unreachable`
 */
export function askForHostCertificates(
  { key, certificate, caCertificate }: Identity,
  server: string,
  body: HostCertificatesRequest,
): Promise<HostCertificatesAnswer> {
  return callFor(hostCertificatesAnswerSchema, {
    server,
    method: "POST",
    path: HOST_CERTIFICATES_PATH,
    ca: caCertificate,
    identity: { key, certificate },
    body,
  });
}

/** A certificate that is not this node's, of this cluster and of this key, would only do harm. */
function refuseForeign(
  server: string,
  {
    nodeId,
    certificate,
    caCertificate,
  }: Pick<Identity, "nodeId" | "certificate" | "caCertificate">,
  key: string,
): void {
  const check = checkPeer(derOf(certificate), new X509Certificate(caCertificate), 0);
  const isOurs =
    check.state !== "refused" &&
    check.nodeId === nodeId &&
    check.keyDigest === digestOfKey(publicKeyOf(key));
  if (isOurs) return;
  throw new OrchdError(
    "internal",
    `${server} gave a certificate that is not this node's: try again`,
  );
}

function derOf(pem: string): Uint8Array {
  try {
    return new X509Certificate(pem).raw;
  } catch {
    // The check refuses it as unreadable.
    return new Uint8Array();
  }
}

/** What is absent is not there, rather than undefined. */
function withoutUndefined({ subnet, range6, ...always }: Identity): Identity {
  return {
    ...always,
    ...(subnet === undefined ? {} : { subnet }),
    ...(range6 === undefined ? {} : { range6 }),
  };
}
