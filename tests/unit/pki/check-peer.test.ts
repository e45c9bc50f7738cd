import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { Authority, newAuthority, NODE_CERTIFICATE_MS } from "../../../src/pki/authority.ts";
import { checkPeer, type PeerCheck } from "../../../src/pki/check-peer.ts";
import { digestOfKey } from "../../../src/pki/digest.ts";
import { newKey, publicKeyOf } from "../../../src/pki/keys.ts";
import { anId } from "../../builders.ts";
import { aCertificate, CLIENT, DAY_MS, derOf, type RogueCertificate, SERVER } from "../../pki.ts";

const now = Date.parse("2026-11-25T12:00:00Z");
const made = await newAuthority();
const authority = new Authority(made);
const ca = authority.certificate;

/** As the CA would sign it if it were asked to. */
async function signed(over: RogueCertificate = {}): Promise<PeerCheck> {
  const { certificate } = await aCertificate({ signer: made.key, ...over });
  return checkPeer(derOf(certificate), ca, now);
}

describe("a node's certificate", () => {
  test("says which node it is and with which key, for a year", async () => {
    const key = await newKey();
    const publicKey = publicKeyOf(key);
    const pem = await authority.issueNode(anId("n1"), publicKey, now + NODE_CERTIFICATE_MS);
    const at = (time: number) => checkPeer(derOf(pem), ca, time);
    const peer = { nodeId: anId("n1"), keyDigest: digestOfKey(publicKey) };
    expect(at(now)).toEqual({ state: "valid", ...peer } as PeerCheck);
    expect(at(now + NODE_CERTIFICATE_MS)).toEqual({ state: "valid", ...peer } as PeerCheck);
    expect(at(now + NODE_CERTIFICATE_MS + 1000).state).toBe("expired");
  });

  test("is valid at the first second of Unix time, and known before it", async () => {
    const pem = await authority.issueNode(anId("n1"), publicKeyOf(await newKey()), DAY_MS);
    expect(checkPeer(derOf(pem), ca, 0).state).toBe("valid");
    expect(checkPeer(derOf(pem), ca, -1000).state).toBe("notYetValid");
  });

  test("that begins later is told apart from one that ended", async () => {
    const later = { notBefore: new Date(now + DAY_MS), notAfter: new Date(now + 2 * DAY_MS) };
    expect((await signed(later)).state).toBe("notYetValid");
    expect((await signed({ notAfter: new Date(now - DAY_MS) })).state).toBe("expired");
  });

  const refusals: [string, RogueCertificate, string][] = [
    ["one with another issuer's name", { issuer: "CN=other CA" }, "notOfThisCluster"],
    ["one that may sign others", { isAuthority: true }, "authority"],
    ["a server's", { usages: [SERVER] }, "wrongUsage"],
    ["one for servers and clients", { usages: [SERVER, CLIENT] }, "wrongUsage"],
    ["one for no use in particular", { usages: [] }, "wrongUsage"],
    ["one of no node", { subject: "CN=n1xxxxxxxxxx" }, "wrongSubject"],
    ["one of a server", { subject: "CN=server" }, "wrongSubject"],
    ["one of two nodes", { subject: "CN=node:n1xxxxxxxxxx,CN=node:n2xxxxxxxxxx" }, "wrongSubject"],
    ["one with more than a node", { subject: "CN=node:n1xxxxxxxxxx,O=admins" }, "wrongSubject"],
    ["one whose node is no id", { subject: "CN=node:*" }, "wrongSubject"],
    ["one without a subject", { subject: "" }, "wrongSubject"],
    [
      "one with a thousand names",
      { names: Array.from({ length: 1000 }, (_, i) => `n${i}`) },
      "tooLarge",
    ],
  ];
  test.each(refusals)("is not %s", async (_, over, reason) => {
    expect(await signed(over)).toEqual({ state: "refused", reason } as PeerCheck);
  });

  test("is signed by this cluster's CA, and not by one of the same name", async () => {
    const nodeKey = await newKey();
    await authority.issueNode(anId("n1"), publicKeyOf(nodeKey), now + DAY_MS);
    const signers: RogueCertificate[] = [
      { signer: (await newAuthority()).key },
      { signer: nodeKey },
      { signer: nodeKey, issuer: "CN=node:n1xxxxxxxxxx" },
    ];
    const checks = await Promise.all(signers.map(signed));
    const { certificate } = await aCertificate();
    checks.push(checkPeer(derOf(certificate), ca, now));
    const reasons = checks.map((check) => (check.state === "refused" ? check.reason : "taken"));
    expect(new Set(reasons)).toEqual(new Set(["notOfThisCluster"]));
  });

  test("is of a P-256 key alone", async () => {
    const p384 = { name: "ECDSA", namedCurve: "P-384" };
    const { publicKey } = await crypto.subtle.generateKey(p384, true, ["sign", "verify"]);
    expect(await signed({ publicKey })).toEqual({ state: "refused", reason: "wrongKey" });
  });

  test("is refused whatever of it was changed or cut off, and never breaks anything", async () => {
    const pem = await authority.issueNode(anId("n1"), publicKeyOf(await newKey()), now + DAY_MS);
    const der = derOf(pem);
    const accepted: string[] = [];
    for (let at = 0; at < der.length; at++) {
      const changed = Uint8Array.from(der);
      changed[at] = (changed[at] ?? 0) ^ 0x55;
      if (checkPeer(changed, ca, now).state !== "refused") accepted.push(`changed at ${at}`);
      if (checkPeer(der.subarray(0, at), ca, now).state !== "refused")
        accepted.push(`cut at ${at}`);
    }
    expect(accepted).toEqual([]);
  });
});

describe("what lets a node with any clock verify a server", () => {
  test("is that the CA and the server's certificate are always valid", async () => {
    const server = new X509Certificate((await authority.issueServer()).certificate);
    const spans = [ca, server].map(({ validFrom, validTo }) => [
      Date.parse(validFrom),
      Date.parse(validTo),
    ]);
    const always = [0, Date.parse("9999-12-31T23:59:59Z")];
    expect(spans).toEqual([always, always]);
    expect(server.checkHost("server.orchd")).toBe("server.orchd");
    expect([ca.ca, server.ca]).toEqual([true, false]);
  });
});
