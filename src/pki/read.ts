import { X509Certificate } from "node:crypto";
import { NODE_CERTIFICATE_MS } from "./authority.ts";
import { digestOfCertificate } from "./digest.ts";

/** The digest of an authority's certificate (PEM), as tokens have it. */
export function caDigestOf(pem: string): string {
  return digestOfCertificate(new X509Certificate(pem));
}

/** When a node's certificate (PEM) was issued, in ms since 1970: it is valid from the beginning. */
export function issuedAt(pem: string): number {
  return Date.parse(new X509Certificate(pem).validTo) - NODE_CERTIFICATE_MS;
}
