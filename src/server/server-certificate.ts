import { createPrivateKey, X509Certificate } from "node:crypto";
import * as fs from "node:fs";
import { OrchdError, systemCodeOf } from "../lib/errors.ts";
import { SERVER_NAME } from "../model/server-address.ts";
import type { Authority, KeyAndCertificate } from "../pki/authority.ts";

/**
 * The server's own key and certificate, kept beside its state so that the library that issues need
 * not be loaded at every start. What is missing, damaged or of another CA is made anew.
 * @throws OrchdError `noSpace`, `forbidden` when it can't be written
 */
export async function serverCertificate(
  path: string,
  authority: Authority,
): Promise<KeyAndCertificate> {
  const kept = read(path);
  if (kept !== undefined && isGood(kept, authority)) return kept;
  const made = await authority.issueServer();
  try {
    // Whole or not at all, and for nobody else's eyes from its first byte on.
    fs.writeFileSync(`${path}.new`, made.key + made.certificate, { mode: 0o600, flush: true });
    fs.renameSync(`${path}.new`, path);
  } catch (cause) {
    const full = systemCodeOf(cause) === "ENOSPC";
    const message = full
      ? `the disk is full: make room for ${path}`
      : `${path} can't be written: run as root, or name another --data-dir`;
    throw new OrchdError(full ? "noSpace" : "forbidden", message, { cause });
  }
  return made;
}

function read(path: string): KeyAndCertificate | undefined {
  if (!fs.existsSync(path)) return undefined;
  const text = fs.readFileSync(path, "utf8");
  const [, key, certificate] = /^(-----BEGIN PRIVATE KEY-.*)(-----BEGIN CERT.*)$/s.exec(text) ?? [];
  return key === undefined || certificate === undefined ? undefined : { key, certificate };
}

function isGood({ key, certificate }: KeyAndCertificate, authority: Authority): boolean {
  try {
    const read = new X509Certificate(certificate);
    return (
      read.verify(authority.certificate.publicKey) &&
      read.checkHost(SERVER_NAME) !== undefined &&
      read.checkPrivateKey(createPrivateKey(key))
    );
  } catch {
    // A damaged file is no reason not to start: there is another certificate in a moment.
    return false;
  }
}
