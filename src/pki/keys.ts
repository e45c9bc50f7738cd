import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { P256 } from "./library.ts";

/** A new P-256 key as PEM (PKCS 8). */
export async function newKey(): Promise<string> {
  const { privateKey } = await crypto.subtle.generateKey(P256, true, ["sign", "verify"]);
  return pemOf("PRIVATE KEY", new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey)));
}

/** The public half of a key of ours. */
export function publicKeyOf(keyPem: string): KeyObject {
  return createPublicKey(createPrivateKey(keyPem));
}

/** Both halves, as the library takes them. */
export async function keyPairOf(keyPem: string): Promise<CryptoKeyPair> {
  const pkcs8 = createPrivateKey(keyPem).export({ type: "pkcs8", format: "der" });
  const [privateKey, publicKey] = await Promise.all([
    crypto.subtle.importKey("pkcs8", new Uint8Array(pkcs8), P256, false, ["sign"]),
    importPublicKey(publicKeyOf(keyPem)),
  ]);
  return { privateKey, publicKey };
}

export function importPublicKey(publicKey: KeyObject): Promise<CryptoKey> {
  const spki = publicKey.export({ type: "spki", format: "der" });
  return crypto.subtle.importKey("spki", new Uint8Array(spki), P256, true, ["verify"]);
}

export function isP256(key: KeyObject): boolean {
  return key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1";
}

export function pemOf(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
