import { type KeyObject, X509Certificate } from "node:crypto";
import { assert } from "../lib/assert.ts";
import type { NodeId } from "../model/ids.ts";
import { isServersOwn } from "../model/ingress-rule.ts";
import { SERVER_NAME } from "../model/server-address.ts";
import { subjectOfNode } from "./check-peer.ts";
import { importPublicKey, keyPairOf, newKey, publicKeyOf } from "./keys.ts";
import { loadX509, P256 } from "./library.ts";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** How long a certificate for a host of the ingress is valid; half of it, and there is another. */
export const INGRESS_CERTIFICATE_MS = 90 * DAY_MS;
/** How long a node's certificate is valid, from the server's time on. */
export const NODE_CERTIFICATE_MS = 365 * DAY_MS;

/** RFC 5280, appendix A: ub-common-name. */
const SUBJECT_LENGTH_MAX = 64;

/**
 * From the first second of Unix time: a node whose clock is at 1970 must be able to verify a
 * server, and a server whose clock is there must take nodes.
 */
const ALWAYS = new Date(0);
/** RFC 5280, 4.1.2.5: what has no well-defined expiration date. */
const NEVER = new Date("9999-12-31T23:59:59Z");

/** A certificate and the key that goes with it, both PEM. */
export interface KeyAndCertificate {
  key: string;
  certificate: string;
}

/** Makes a new authority: a self-signed certificate that never ends. */
export async function newAuthority(): Promise<KeyAndCertificate> {
  const x509 = await loadX509();
  const key = await newKey();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=orchd CA",
    notBefore: ALWAYS,
    notAfter: NEVER,
    keys: await keyPairOf(key),
    signingAlgorithm: P256,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  });
  return { key, certificate: certificate.toString("pem") };
}

/** Issues the cluster's certificates; who each is for and what it may be used for is said here. */
export class Authority {
  readonly certificate: X509Certificate;
  readonly #ca: KeyAndCertificate;

  /** @param ca what `newAuthority` made */
  constructor(ca: KeyAndCertificate) {
    this.#ca = ca;
    this.certificate = new X509Certificate(ca.certificate);
  }

  /** A new key of a server with its certificate: good for answering under `SERVER_NAME` only. */
  async issueServer(): Promise<KeyAndCertificate> {
    const key = await newKey();
    const x509 = await loadX509();
    const certificate = await this.#issue(publicKeyOf(key), {
      subject: "CN=server",
      notAfter: NEVER,
      usage: x509.ExtendedKeyUsage.serverAuth,
      names: [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: SERVER_NAME }])],
    });
    return { key, certificate };
  }

  /**
   * A certificate (PEM) by which a node speaks to servers, and nothing else.
   * @param expiresAt milliseconds since 1970; the part below a second is cut off
   */
  async issueNode(nodeId: NodeId, publicKey: KeyObject, expiresAt: number): Promise<string> {
    const x509 = await loadX509();
    assert(expiresAt < NEVER.getTime(), "a certificate outlives the calendar");
    return this.#issue(publicKey, {
      subject: subjectOfNode(nodeId),
      notAfter: new Date(expiresAt),
      usage: x509.ExtendedKeyUsage.clientAuth,
      names: [],
    });
  }

  /**
   * A certificate (PEM) by which a node answers browsers for one host, or with `*.` for all that
   * have one label more; good for nothing else. Which hosts those may be is for the caller to say.
   * @param now milliseconds since 1970; clients whose clock is an hour behind take it as well
   */
  async issueIngress(host: string, publicKey: KeyObject, now: number): Promise<string> {
    const x509 = await loadX509();
    assert(!isServersOwn(host), "the name of the cluster's servers is for servers alone");
    return this.#issue(publicKey, {
      // The names count; a subject may have no more than 64 characters.
      subject: host.length <= SUBJECT_LENGTH_MAX ? `CN=${host}` : "CN=ingress",
      notBefore: new Date(now - HOUR_MS),
      notAfter: new Date(now + INGRESS_CERTIFICATE_MS),
      usage: x509.ExtendedKeyUsage.serverAuth,
      names: [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: host }])],
    });
  }

  async #issue(publicKey: KeyObject, wanted: Wanted) {
    const { subject, notBefore = ALWAYS, notAfter, usage, names } = wanted;
    const x509 = await loadX509();
    const { privateKey } = await keyPairOf(this.#ca.key);
    const certificate = await x509.X509CertificateGenerator.create({
      subject,
      issuer: new x509.X509Certificate(this.#ca.certificate).subject,
      notBefore,
      notAfter,
      publicKey: await importPublicKey(publicKey),
      signingKey: privateKey,
      signingAlgorithm: P256,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([usage], true),
        ...names,
      ],
    });
    return certificate.toString("pem");
  }
}

type X509 = Awaited<ReturnType<typeof loadX509>>;

interface Wanted {
  subject: string;
  /** Absent means always. */
  notBefore?: Date;
  notAfter: Date;
  usage: string;
  names: InstanceType<X509["SubjectAlternativeNameExtension"]>[];
}
