import type { Extension } from "@peculiar/x509";
import type { TlsOptions } from "../../src/session/dial.ts";

// The library needs this one to be there first.
await import("reflect-metadata");
const x509 = await import("@peculiar/x509");

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const ALWAYS = { notBefore: new Date(0), notAfter: new Date("9999-12-31T23:59:59Z") };

/** A certificate authority that lasts as long as a test. */
export class TestAuthority {
  readonly certificate: string;
  readonly #keys: CryptoKeyPair;

  private constructor(certificate: string, keys: CryptoKeyPair) {
    this.certificate = certificate;
    this.#keys = keys;
  }

  static async make(): Promise<TestAuthority> {
    x509.cryptoProvider.set(crypto);
    const keys = await newKeys();
    const made = await x509.X509CertificateGenerator.createSelfSigned({
      name: "CN=test",
      ...ALWAYS,
      keys,
      signingAlgorithm: ALGORITHM,
      extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
    });
    return new TestAuthority(made.toString("pem"), keys);
  }

  /** What a server shows; it asks for the client's certificate and looks at it itself. */
  async forServer(): Promise<{ cert: string; key: string }> {
    const name = new x509.SubjectAlternativeNameExtension([{ type: "dns", value: "server.orchd" }]);
    return this.#issue("CN=server", x509.ExtendedKeyUsage.serverAuth, [name]);
  }

  async forNode(id: string): Promise<TlsOptions> {
    const issued = await this.#issue(`CN=node:${id}`, x509.ExtendedKeyUsage.clientAuth, []);
    return { ...issued, ca: this.certificate, serverName: "server.orchd" };
  }

  async #issue(subject: string, usage: string, more: Extension[]) {
    const keys = await newKeys();
    const made = await x509.X509CertificateGenerator.create({
      subject,
      issuer: "CN=test",
      ...ALWAYS,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: [new x509.ExtendedKeyUsageExtension([usage]), ...more],
    });
    const bytes = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
    return { cert: made.toString("pem"), key: x509.PemConverter.encode(bytes, "PRIVATE KEY") };
  }
}

function newKeys(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}
