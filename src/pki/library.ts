/**
 * The X.509 library, loaded only where a certificate is issued or requested: it costs some 15 MB
 * and a quarter of a second of a small board. Reading and checking certificates needs none of it.
 */
export async function loadX509() {
  // The library's own container needs the metadata of decorators before its first line runs.
  await import("reflect-metadata");
  const x509 = await import("@peculiar/x509");
  x509.cryptoProvider.set(crypto);
  return x509;
}

/** The one kind of key and signature that orchd makes and takes. */
export const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
