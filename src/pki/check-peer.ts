import { X509Certificate } from "node:crypto";
import type { NodeId } from "../model/ids.ts";
import { nodeIdSchema } from "../model/ids.ts";
import { digestOfKey } from "./digest.ts";
import { isP256 } from "./keys.ts";

/** A certificate of ours is a tenth of this. */
const CERTIFICATE_BYTES_MAX = 4096;
/** RFC 5280, 4.2.1.12: TLS client authentication. */
const CLIENT_AUTHENTICATION = "1.3.6.1.5.5.7.3.2";

/** Why a certificate stands for no node. */
export type PeerRefusal =
  | "tooLarge"
  | "unreadable"
  | "notOfThisCluster"
  | "authority"
  | "wrongUsage"
  | "wrongSubject"
  | "wrongKey";

export type PeerCheck =
  | {
      /** The last two may do nothing but ask for a new certificate. */
      state: "valid" | "expired" | "notYetValid";
      nodeId: NodeId;
      /** To be compared with what is pinned on the node. */
      keyDigest: string;
    }
  | { state: "refused"; reason: PeerRefusal };

/** The subject of a node's certificate; nothing else in it says which node it is. */
export function subjectOfNode(nodeId: NodeId): string {
  return `CN=node:${nodeId}`;
}

/**
 * Checks everything of a certificate that it says itself, and leans on no check that was made
 * before: signed by the CA and no one between, an end's certificate, for clients, of a node, of a
 * P-256 key. Whether that node is there and has this key is for the caller to look up.
 * @param der the peer's own certificate, as it came
 * @param now milliseconds since 1970
 */
export function checkPeer(der: Uint8Array, ca: X509Certificate, now: number): PeerCheck {
  if (der.length > CERTIFICATE_BYTES_MAX) return { state: "refused", reason: "tooLarge" };
  const certificate = read(der);
  if (certificate === undefined) return { state: "refused", reason: "unreadable" };
  const nodeId = nodeIn(certificate);
  const reason = whyRefused(certificate, ca, nodeId);
  if (reason !== undefined) return { state: "refused", reason };
  if (nodeId === undefined) return { state: "refused", reason: "wrongSubject" };
  const keyDigest = digestOfKey(certificate.publicKey);
  return { state: validity(certificate, now), nodeId, keyDigest };
}

function read(der: Uint8Array): X509Certificate | undefined {
  try {
    const certificate = new X509Certificate(der);
    // Some parts are only parsed when they are asked for, and may be broken as well.
    return certificate.publicKey.asymmetricKeyType === undefined ? undefined : certificate;
  } catch {
    // Whatever it is, it is no certificate.
    return undefined;
  }
}

function whyRefused(
  certificate: X509Certificate,
  ca: X509Certificate,
  nodeId: NodeId | undefined,
): PeerRefusal | undefined {
  if (certificate.issuer !== ca.subject || !isSignedBy(certificate, ca)) return "notOfThisCluster";
  if (certificate.ca) return "authority";
  const usages: readonly string[] | undefined = certificate.keyUsage;
  if (usages?.length !== 1 || usages[0] !== CLIENT_AUTHENTICATION) return "wrongUsage";
  if (nodeId === undefined) return "wrongSubject";
  return isP256(certificate.publicKey) ? undefined : "wrongKey";
}

function isSignedBy(certificate: X509Certificate, ca: X509Certificate): boolean {
  try {
    return certificate.verify(ca.publicKey);
  } catch {
    // A signature of another kind than the CA's key makes.
    return false;
  }
}

function nodeIn(certificate: X509Certificate): NodeId | undefined {
  const [, id] = /^CN=node:([0-9a-z]{1,32})$/.exec(certificate.subject) ?? [];
  return nodeIdSchema.safeParse(id).data;
}

function validity(certificate: X509Certificate, now: number) {
  // A date that can't be read is not a number, and no comparison with it holds.
  if (!(now >= Date.parse(certificate.validFrom))) return "notYetValid";
  return now <= Date.parse(certificate.validTo) ? "valid" : "expired";
}
