import { X509Certificate } from "node:crypto";
import { OrchdError } from "../lib/errors.ts";
import { caAnswerSchema } from "../model/join.ts";
import type { TokenText } from "../model/token-text.ts";
import { digestOfCertificate, sameDigest } from "../pki/digest.ts";
import { callFor, callWithTime } from "./client-call.ts";
import { notOrchd } from "./client-connect.ts";

/**
 * The certificate (PEM) of a server's authority: asked of anybody, and believed for its digest.
 * @param server `host:port`
 * @throws OrchdError `unreachable`, `forbidden` when the token is of another cluster
 */
export async function provenCa(
  server: string,
  token: TokenText,
  answerTimeoutMs?: number,
): Promise<string> {
  const call = { server, method: "GET", path: "/v1/ca", ca: undefined, answerTimeoutMs } as const;
  const { caCertificate } = await callFor(caAnswerSchema, call);
  const digest = digestOfCa(caCertificate);
  if (digest === undefined) throw notOrchd(server);
  if (sameDigest(digest, token.caDigest)) return caCertificate;
  const message =
    `${server} is a server of another cluster than the token's: ` +
    "use a token of its own, or the address of the token's server";
  throw new OrchdError("forbidden", message);
}

/**
 * What a server tells anybody: the digest of its authority, and its time in ms since 1970.
 * @param server `host:port`
 * @param ca PEM of the authority that is believed; undefined believes anybody
 * @throws OrchdError `unreachable`, `forbidden` when it is not of that authority
 */
export async function lookAtServer(
  server: string,
  ca: string | undefined,
  answerTimeoutMs?: number,
): Promise<{ caDigest: string; serverTime: number | undefined }> {
  const call = { server, method: "GET", path: "/v1/ca", ca, answerTimeoutMs } as const;
  const { value, serverTime } = await callWithTime(caAnswerSchema, call);
  const caDigest = digestOfCa(value.caCertificate);
  if (caDigest === undefined) throw notOrchd(server);
  return { caDigest, serverTime };
}

/** Undefined for what is no certificate. */
export function digestOfCa(pem: string): string | undefined {
  try {
    return digestOfCertificate(new X509Certificate(pem));
  } catch {
    // Not a certificate.
    return undefined;
  }
}
