import { createPublicKey, type KeyObject } from "node:crypto";
import { OrchdError } from "../lib/errors.ts";
import { keyPairOf, isP256 } from "./keys.ts";
import { loadX509, P256 } from "./library.ts";

const REQUEST_LENGTH_MAX = 4096;

/** A request (PKCS 10, PEM) that says nothing but which key the certificate is for. */
export async function newRequest(keyPem: string): Promise<string> {
  const x509 = await loadX509();
  const keys = await keyPairOf(keyPem);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: P256,
  });
  return request.toString("pem");
}

/**
 * The key that a request is for. Who it is for and what it may be used for is the issuer's to say:
 * a request that wants a name, a use or the rights of an authority is refused whole.
 * @throws OrchdError `invalid`; what the request says is never repeated
 */
export async function keyInRequest(pem: string): Promise<KeyObject> {
  if (pem.length > REQUEST_LENGTH_MAX) throw refused("it is too long");
  const { request, asksForMore, spki } = await readRequest(pem);
  if (asksForMore) throw refused("it asks for more than a certificate of its key");
  const key = readKey(spki);
  if (key === undefined || !isP256(key)) throw refused("its key is not one of the curve P-256");
  if (!(await isSigned(request))) throw refused("it is not signed with its own key");
  return key;
}

type Request = InstanceType<Awaited<ReturnType<typeof loadX509>>["Pkcs10CertificateRequest"]>;

async function readRequest(pem: string) {
  const x509 = await loadX509();
  try {
    const request = new x509.Pkcs10CertificateRequest(pem);
    const { subject, attributes, extensions, publicKey } = request;
    const asksForMore = subject !== "" || attributes.length > 0 || extensions.length > 0;
    return { request, asksForMore, spki: publicKey.rawData };
  } catch {
    // The library's words would repeat pieces of the text.
    throw refused("it can't be read");
  }
}

/** Undefined for what is no key, such as a point that is not on its curve. */
function readKey(spki: ArrayBuffer): KeyObject | undefined {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  } catch {
    return undefined;
  }
}

/** Whether whoever asks has the key, told by a signature over SHA-256. */
async function isSigned(request: Request): Promise<boolean> {
  try {
    const { name, hash } = request.signatureAlgorithm as {
      name?: string;
      hash?: { name?: string };
    };
    return name === P256.name && hash?.name === P256.hash && (await request.verify());
  } catch {
    // A signature of another shape than the key's.
    return false;
  }
}

function refused(why: string): OrchdError {
  return new OrchdError("invalid", `the certificate request is refused: ${why}`);
}
