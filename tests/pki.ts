import type { Attribute, Extension } from "@peculiar/x509";
import { keyPairOf, newKey } from "../src/pki/keys.ts";
import { loadX509, P256 } from "../src/pki/library.ts";

export const x509 = await loadX509();

/** A certificate as anybody may make one: everything that orchd would refuse can be asked for. */
export interface RogueCertificate {
  subject?: string;
  issuer?: string;
  /** PEM of the key that the certificate is for; a new one where it is left out. */
  key?: string;
  /** Instead of `key`: of a kind that orchd does not make. */
  publicKey?: CryptoKey;
  /** PEM of the key that signs; the subject's own where it is left out. */
  signer?: string;
  notBefore?: Date;
  notAfter?: Date;
  usages?: string[];
  isAuthority?: boolean;
  names?: string[];
}

export const CLIENT = x509.ExtendedKeyUsage.clientAuth;
export const SERVER = x509.ExtendedKeyUsage.serverAuth;
export const DAY_MS = 86_400_000;

/** Answers key and certificate as PEM. */
export async function aCertificate(over: RogueCertificate = {}) {
  const key = over.key ?? (await newKey());
  const publicKey = over.publicKey ?? (await keyPairOf(key)).publicKey;
  const { privateKey } = await keyPairOf(over.signer ?? key);
  const { usages = [CLIENT], names = [] } = over;
  const certificate = await x509.X509CertificateGenerator.create({
    subject: over.subject ?? "CN=node:n1xxxxxxxxxx",
    issuer: over.issuer ?? "CN=orchd CA",
    notBefore: over.notBefore ?? new Date(0),
    notAfter: over.notAfter ?? new Date(Date.now() + DAY_MS),
    publicKey,
    signingKey: privateKey,
    signingAlgorithm: P256,
    extensions: [
      new x509.BasicConstraintsExtension(over.isAuthority === true, undefined, true),
      ...(usages.length === 0 ? [] : [new x509.ExtendedKeyUsageExtension(usages)]),
      ...(names.length === 0
        ? []
        : [
            new x509.SubjectAlternativeNameExtension(
              names.map((value) => ({ type: "dns", value })),
            ),
          ]),
    ],
  });
  return { key, certificate: certificate.toString("pem") };
}

export function derOf(pem: string): Uint8Array {
  return new Uint8Array(x509.PemConverter.decodeFirst(pem));
}

/** A certificate request (PEM) with whatever somebody might put in. */
export async function aRequest(
  over: {
    key?: string;
    subject?: string;
    extensions?: Extension[];
    attributes?: Attribute[];
  } = {},
): Promise<string> {
  const keys = await keyPairOf(over.key ?? (await newKey()));
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: P256,
    ...(over.subject === undefined ? {} : { name: over.subject }),
    ...(over.extensions === undefined ? {} : { extensions: over.extensions }),
    ...(over.attributes === undefined ? {} : { attributes: over.attributes }),
  });
  return request.toString("pem");
}

/** A request of a key of another algorithm, such as `{name: "ECDSA", namedCurve: "P-384"}`. */
export async function aForeignRequest(algorithm: ForeignAlgorithm): Promise<string> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: algorithm,
  });
  return request.toString("pem");
}

type ForeignAlgorithm =
  | { name: "ECDSA"; namedCurve: string; hash: string }
  | {
      name: "RSASSA-PKCS1-v1_5";
      modulusLength: number;
      publicExponent: Uint8Array<ArrayBuffer>;
      hash: string;
    };
