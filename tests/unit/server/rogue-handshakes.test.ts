import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createConnection } from "node:net";
import { seededRandom, randomBelow } from "../../../src/lib/random.ts";
import { newAuthority } from "../../../src/pki/authority.ts";
import { newKey, pemOf } from "../../../src/pki/keys.ts";
import { newRequest } from "../../../src/pki/request.ts";
import { aCertificate, DAY_MS, derOf, type RogueCertificate, SERVER } from "../../pki.ts";
import {
  aJoinedNode,
  askRaw,
  connectTo,
  type Credentials,
  PortRig,
  request,
  upgrade,
} from "./port-rig.ts";

/** Handshakes of each of sixteen kinds of rogue, three requests at a time. */
const EACH = 63;
const SLOW_MS = 60_000;
/** Both ends of every connection and all the certificates are in this process. */
const GROWTH_MAX_BYTES = 64 * 1024 * 1024;

let rig: PortRig;
let node: Credentials & { nodeId: string };
beforeEach(async () => {
  rig = await PortRig.open();
  node = await aJoinedNode(rig.cluster, "a");
});
afterEach(() => rig.close());

/** Everything that a rogue may try; answers what was answered with success. */
async function tryEverything(as: Credentials | undefined): Promise<string[]> {
  const csr = await newRequest(as?.key ?? (await newKey()));
  const texts = [
    upgrade(),
    request("POST", "/v1/certificate", { csr }),
    request("GET", "/v1/nodes"),
  ];
  const answers = await Promise.all(texts.map((text) => askRaw(rig, text, as)));
  return answers.filter(({ status }) => status !== 0 && status < 400).map(({ text }) => text);
}

/** Those that are still to be made are made by somebody who has all the keys that it takes. */
async function rogues(): Promise<Record<string, RogueCertificate | Credentials>> {
  const subject = `CN=node:${node.nodeId}`;
  const now = rig.cluster.clock.time;
  const signer = rig.cluster.caKey;
  const removed = await aJoinedNode(rig.cluster, "removed");
  await rig.removeNode(removed.nodeId);
  const other = await aCertificate({ subject });
  return {
    "self-signed": { subject },
    "of another CA of the same name": { subject, signer: (await newAuthority()).key },
    "of another CA, with the node's key": {
      subject,
      key: node.key,
      signer: (await newAuthority()).key,
    },
    "signed by a node": { subject, signer: node.key },
    "signed by a node that says so": { subject, signer: node.key, issuer: subject },
    "another key for the node": { subject, signer },
    "another key for the node, expired": { subject, signer, notAfter: new Date(now - DAY_MS) },
    "another key for the node, too early": {
      subject,
      signer,
      notBefore: new Date(now + DAY_MS),
      notAfter: new Date(now + 2 * DAY_MS),
    },
    "a server's": { subject, key: node.key, signer, usages: [SERVER] },
    "an authority's": { subject, key: node.key, signer, isAuthority: true },
    "of a node that never was": { subject: "CN=node:n9xxxxxxxxxx", key: node.key, signer },
    "of no node": { subject: "CN=admin", key: node.key, signer },
    "with a thousand names": {
      subject,
      key: node.key,
      signer,
      names: Array.from({ length: 1000 }, (_, i) => `n${i}`),
    },
    "of a removed node": removed,
    "with a chain of 64 KiB behind it": {
      key: other.key,
      certificate: `${other.certificate}\n`.repeat(150),
    },
    "changed in its signature": { key: node.key, certificate: withOtherEnd(node.certificate) },
  };
}

/** The certificate with its last byte, which is the signature's, changed. */
function withOtherEnd(certificate: string): string {
  const der = Uint8Array.from(derOf(certificate));
  der[der.length - 1] = (der.at(-1) ?? 0) ^ 1;
  return pemOf("CERTIFICATE", der);
}

function isMade(rogue: RogueCertificate | Credentials): rogue is Credentials {
  return "certificate" in rogue;
}

describe("of a thousand rogue handshakes", () => {
  test(
    "none is let in, whatever its certificate, and nothing of them is left",
    async () => {
      const before = process.memoryUsage.rss();
      const accepted: string[] = [];
      for (const [name, rogue] of Object.entries(await rogues())) {
        const as = isMade(rogue) ? rogue : await aCertificate(rogue);
        for (let i = 0; i < EACH / 3; i++) {
          for (const text of await tryEverything(as)) accepted.push(`${name}: ${text}`);
        }
      }
      expect(accepted).toEqual([]);
      expect(rig.sessions).toEqual([]);
      const refused = [...rig.port.refusals.values()].reduce((sum, count) => sum + count, 0);
      expect(refused).toBe(16 * EACH);
      expect([...rig.port.refusals.keys()].sort()).toEqual([
        "authority",
        "notOfThisCluster",
        "tooLarge",
        "unknownNode",
        "wrongSubject",
        "wrongUsage",
      ]);
      expect(rig.port.connections).toEqual({ open: 0, waiting: 0 });
      expect(process.memoryUsage.rss() - before).toBeLessThan(GROWTH_MAX_BYTES);
      await expectAlive();
    },
    SLOW_MS,
  );

  test(
    "none of those that are none gets an answer: other TLS, plain HTTP, noise, half a handshake",
    async () => {
      const random = seededRandom("noise");
      const hello = await clientHello();
      const noises: (() => Uint8Array)[] = [
        () => new TextEncoder().encode("GET /v1/nodes HTTP/1.1\r\nhost: orchd\r\n\r\n"),
        () => bytes(random, 1 + randomBelow(random, 1400)),
        () => hello.subarray(0, randomBelow(random, hello.length)),
        () => mutated(random, hello),
        () => Uint8Array.from([0x16, 3, 1, 0xff, 0xff, 1, 0xff, 0xff, 0xff]),
      ];
      const answered: string[] = [];
      for (let i = 0; i < 200; i++) {
        const noise = noises[i % noises.length];
        if (noise === undefined) continue;
        const answer = await say(noise());
        if (/HTTP\/1\.1 2/.test(answer)) answered.push(answer);
      }
      for (const maxVersion of ["TLSv1.2", "TLSv1.1"] as const) {
        const socket = connectTo(rig, node, { maxVersion, minVersion: "TLSv1" });
        const secured = await new Promise<boolean>((resolve) => {
          socket.on("secureConnect", () => resolve(true));
          socket.on("error", () => resolve(false)).on("close", () => resolve(false));
        });
        if (secured) answered.push(maxVersion);
        socket.destroy();
      }
      expect(answered).toEqual([]);
      expect(rig.port.connections).toEqual({ open: 0, waiting: 0 });
      expect(rig.port.refusals.get("handshake")).toBeGreaterThan(150);
      await expectAlive();
    },
    SLOW_MS,
  );

  test(
    "none makes the server's certificate another one by the name that it asks for",
    async () => {
      const random = seededRandom("names");
      const seen = new Set<string>();
      for (let i = 0; i < 500; i++) {
        const servername = `${Buffer.from(bytes(random, 20)).toString("hex")}.example`;
        const socket = connectTo(rig, undefined, { servername });
        seen.add(
          await new Promise<string>((resolve) => {
            socket.on("secureConnect", () => {
              resolve(Buffer.from(socket.getPeerCertificate(true).raw).toString("base64"));
            });
            socket.on("error", (error: Error) => resolve(error.message));
          }),
        );
        socket.destroy();
      }
      const own = Buffer.from(derOf(rig.serverCertificate)).toString("base64");
      expect([...seen]).toEqual([own]);
      await expectAlive();
    },
    SLOW_MS,
  );
});

/** The node that has joined is let in as before. */
async function expectAlive(): Promise<void> {
  const csr = await newRequest(node.key);
  const renewal = await askRaw(rig, request("POST", "/v1/certificate", { csr }), node);
  expect(renewal.status).toBe(200);
}

/** Sends bytes without TLS, closes, and answers what came back. */
function say(data: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    const socket = createConnection(rig.port.port, "127.0.0.1", () => void socket.end(data));
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    socket.on("error", () => {});
    socket.on("close", () => resolve(text));
  });
}

/** The first packet of a real handshake. */
function clientHello(): Promise<Uint8Array> {
  return new Promise((resolve) => {
    const listener = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data(socket, data) {
          resolve(Uint8Array.from(data));
          socket.end();
          listener.stop(true);
        },
      },
    });
    const socket = connectTo(rig, undefined, { port: listener.port });
    socket.on("error", () => {});
  });
}

function bytes(random: ReturnType<typeof seededRandom>, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, () => randomBelow(random, 256));
}

function mutated(random: ReturnType<typeof seededRandom>, from: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(from);
  // Behind the record's header, so that it reaches the parser of the handshake.
  for (let i = 0; i < 3; i++)
    copy[9 + randomBelow(random, copy.length - 9)] = randomBelow(random, 256);
  return copy;
}
