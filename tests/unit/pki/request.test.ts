import { describe, expect, test } from "bun:test";
import { OrchdError } from "../../../src/lib/errors.ts";
import { digestOfKey } from "../../../src/pki/digest.ts";
import { newKey, pemOf, publicKeyOf } from "../../../src/pki/keys.ts";
import { keyInRequest, newRequest } from "../../../src/pki/request.ts";
import { aForeignRequest, aRequest, CLIENT, derOf, SERVER, x509 } from "../../pki.ts";

/** The sentence with which it is refused. */
async function refusalOf(pem: string): Promise<string> {
  const error = await keyInRequest(pem).catch((thrown: unknown) => thrown);
  if (!(error instanceof OrchdError) || error.code !== "invalid") return "not refused";
  return error.message.replace("the certificate request is refused: ", "");
}

const MORE = "it asks for more than a certificate of its key";

describe("a certificate request", () => {
  test("says which key it is for", async () => {
    const key = await newKey();
    const found = await keyInRequest(await newRequest(key));
    expect(digestOfKey(found)).toBe(digestOfKey(publicKeyOf(key)));
  });

  const greedy: [string, Parameters<typeof aRequest>[0]][] = [
    ["another node's name", { subject: "CN=node:n2xxxxxxxxxx" }],
    ["a server's name", { subject: "CN=server" }],
    ["the use of a server", { extensions: [new x509.ExtendedKeyUsageExtension([SERVER])] }],
    ["even its own use", { extensions: [new x509.ExtendedKeyUsageExtension([CLIENT])] }],
    ["an authority's rights", { extensions: [new x509.BasicConstraintsExtension(true)] }],
    [
      "every name under the sun",
      { extensions: [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: "*" }])] },
    ],
    ["to pass on a password", { attributes: [new x509.ChallengePasswordAttribute("open")] }],
  ];
  test.each(greedy)("is refused when it wants %s", async (_, over) => {
    expect(await refusalOf(await aRequest(over))).toBe(MORE);
  });

  test("is refused for any other kind of key", async () => {
    const exponent = Uint8Array.from([1, 0, 1]);
    const rsa = { name: "RSASSA-PKCS1-v1_5", publicExponent: exponent, hash: "SHA-256" } as const;
    const requests = await Promise.all([
      aForeignRequest({ name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" }),
      aForeignRequest({ ...rsa, modulusLength: 1024 }),
      aForeignRequest({ ...rsa, modulusLength: 2048 }),
    ]);
    const curve = "its key is not one of the curve P-256";
    expect(await Promise.all(requests.map(refusalOf))).toEqual([curve, curve, curve]);
  });

  test("is refused when it is signed over a broken digest", async () => {
    const weak = await aForeignRequest({ name: "ECDSA", namedCurve: "P-256", hash: "SHA-1" });
    expect(await refusalOf(weak)).toBe("it is not signed with its own key");
  });

  test("is refused when somebody else signed it", async () => {
    const [mine, other] = await Promise.all([
      newRequest(await newKey()),
      newRequest(await newKey()),
    ]);
    const der = derOf(mine);
    // The public key is the last 65 bytes before the attributes and the signature.
    const at = Buffer.from(der).indexOf(pointIn(mine));
    der.set(pointIn(other), at);
    expect(await refusalOf(pemOf("CERTIFICATE REQUEST", der))).toBe(
      "it is not signed with its own key",
    );
  });

  test("is refused when its key is not on the curve", async () => {
    const der = derOf(await newRequest(await newKey()));
    const at = Buffer.from(der).indexOf(Buffer.from([0x03, 0x42, 0x00, 0x04])) + 4;
    der.fill(1, at, at + 64);
    expect(await refusalOf(pemOf("CERTIFICATE REQUEST", der))).toBe(
      "its key is not one of the curve P-256",
    );
  });

  test("is refused when it is anything else, and what it says is not repeated", async () => {
    const der = derOf(await newRequest(await newKey()));
    const texts = [
      "",
      "secret words",
      "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----",
      "x".repeat(5000),
      ...Array.from(der, (_, end) => pemOf("CERTIFICATE REQUEST", der.subarray(0, end))),
    ];
    const refusals = new Set(await Promise.all(texts.map(refusalOf)));
    expect([...refusals].sort()).toEqual(["it can't be read", "it is too long"]);
  });
});

/** The point of the key in a request. */
function pointIn(pem: string): Uint8Array {
  const spki = new x509.Pkcs10CertificateRequest(pem).publicKey.rawData;
  return new Uint8Array(spki).subarray(-65);
}
