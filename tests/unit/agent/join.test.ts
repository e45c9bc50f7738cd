import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tls from "node:tls";
import { joinCluster, type JoinOptions, renewCertificate } from "../../../src/agent/join.ts";
import { OrchdError } from "../../../src/lib/errors.ts";
import type { Identity } from "../../../src/model/join.ts";
import { parseToken, type TokenText } from "../../../src/model/token-text.ts";
import { Authority, newAuthority } from "../../../src/pki/authority.ts";
import { checkPeer } from "../../../src/pki/check-peer.ts";
import { newKey } from "../../../src/pki/keys.ts";
import { openAgentState } from "../../../src/store/agent-state/agent-state.ts";
import { DAY_MS, derOf } from "../../pki.ts";
import { PortRig } from "../server/port-rig.ts";
import { factsOfNode } from "../server/rig.ts";

let rig: PortRig;
const others: { stop: () => void }[] = [];
beforeEach(async () => {
  rig = await PortRig.open();
});
afterEach(async () => {
  for (const { stop } of others.splice(0)) stop();
  await rig.close();
});

function tokenOf(text: string): TokenText {
  const parsed = parseToken(text);
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.value;
}

async function ask(over: Partial<JoinOptions> = {}): Promise<Identity> {
  return joinCluster({
    servers: [rig.address],
    token: tokenOf(rig.cluster.firstToken),
    key: await newKey(),
    facts: factsOfNode(),
    labels: {},
    ...over,
  });
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.catch((thrown: unknown) => thrown);
  return error instanceof OrchdError ? `${error.code}: ${error.message}` : "not refused";
}

/** Something that listens on a port of loopback and does what it likes with connections. */
async function aListener(onConnection: (socket: Socket) => void): Promise<string> {
  const server: Server = createServer((socket) => {
    socket.on("error", () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  others.push({ stop: () => void server.close() });
  const address = server.address();
  return `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
}

/** One that speaks TLS, with a certificate of whatever authority, and answers every request. */
async function aTlsListener(authority: Authority, body: string): Promise<string> {
  const { key, certificate } = await authority.issueServer();
  const server = tls.createServer({ key, cert: certificate }, (socket) => {
    socket.on("error", () => {});
    socket.on("data", () => {
      const head = `HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
      socket.end(head + body);
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  others.push({ stop: () => void server.close() });
  const address = server.address();
  return `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
}

/** A port of loopback on which nothing listens. */
async function aClosedPort(): Promise<string> {
  const address = await aListener(() => {});
  others.pop()?.stop();
  return address;
}

describe("a machine joins", () => {
  test("and has all that makes it a node, with the server that took it first", async () => {
    const key = await newKey();
    const identity = await ask({ key, labels: { site: "3" }, name: "till" });
    const { caCertificate, gossipKeys = [] } = rig.cluster.store.view().cluster ?? {};
    expect(identity).toEqual({
      nodeId: identity.nodeId,
      name: "till",
      key,
      certificate: identity.certificate,
      caCertificate: caCertificate ?? "",
      gossipKeys,
      servers: [rig.address, "192.0.2.1:6770"],
    });
    const node = rig.cluster.store.view().nodes.get(identity.nodeId);
    expect(node).toMatchObject({ hostname: "till", labels: { site: "3" } });
  });

  test("and remembers who it is", async () => {
    const directory = mkdtempSync(join(tmpdir(), "orchd-join-"));
    const path = join(directory, "agent.db");
    const state = openAgentState(path);
    state.saveKey(await newKey());
    const identity = await ask({ key: state.loadKey() ?? "" });
    state.saveIdentity(identity);
    state.close();
    const reopened = openAgentState(path);
    expect(reopened.loadIdentity()).toEqual(identity);
    expect(reopened.loadNodeId()).toBe(identity.nodeId);
    reopened.close();
    rmSync(directory, { recursive: true });
  });

  test("and is the same node when it asks once more", async () => {
    const key = await newKey();
    const first = await ask({ key });
    expect((await ask({ key })).nodeId).toBe(first.nodeId);
  });

  test("at the first address where its cluster answers", async () => {
    const strange = await aListener((socket) => void socket.end("220 mail\r\n"));
    const servers = [await aClosedPort(), strange, rig.address];
    expect((await ask({ servers })).servers[0]).toBe(rig.address);
  });

  test("whatever proxy the environment names", async () => {
    const before = process.env["HTTPS_PROXY"];
    process.env["HTTPS_PROXY"] = `http://${await aClosedPort()}`;
    try {
      expect((await ask()).name).toBe("n1");
    } finally {
      if (before === undefined) delete process.env["HTTPS_PROXY"];
      else process.env["HTTPS_PROXY"] = before;
    }
  });
});

describe("a machine that can't join is told", () => {
  test("that nothing listens at the address", async () => {
    const server = await aClosedPort();
    expect(await refusal(ask({ servers: [server] }))).toBe(
      `unreachable: ${server} can't be reached: the machine is there, ` +
        "but nothing listens on this port: is `orchd server` running?",
    );
  });

  test("that the name is not known", async () => {
    expect(await refusal(ask({ servers: ["server.invalid:6770"] }))).toBe(
      "unreachable: server.invalid:6770 can't be reached: " +
        "its name is not known here: is it spelled right?",
    );
  });

  test("that something else answers", async () => {
    const sentence = (server: string) =>
      `unreachable: something other than an orchd server answers on ${server}: ` +
      "is it the right port?";
    const mail = await aListener((socket) => void socket.end("220 mail\r\n"));
    const closing = await aListener((socket) => void socket.end());
    const authority = new Authority(await newAuthority());
    const web = await aTlsListener(authority, "<html>");
    const other = await aTlsListener(authority, '{"caCertificate":"none"}');
    for (const server of [mail, closing, web, other]) {
      expect(await refusal(ask({ servers: [server] }))).toBe(sentence(server));
    }
  });

  test("that an answer has no end", async () => {
    const authority = new Authority(await newAuthority());
    const server = await aTlsListener(authority, " ".repeat(300 * 1024));
    expect(await refusal(ask({ servers: [server] }))).toBe(
      `tooLarge: the answer of ${server} is larger than any that a server gives`,
    );
  });

  test("that somebody takes connections and says nothing", async () => {
    const silent = await aListener(() => {});
    expect(await refusal(ask({ servers: [silent], answerTimeoutMs: 50 }))).toBe(
      `unreachable: ${silent} takes connections but does not answer: ` +
        "the server is overloaded, or something else is there",
    );
  });

  test("that the server is one of another cluster", async () => {
    const other = await PortRig.open();
    others.push({ stop: () => void other.close() });
    expect(await refusal(ask({ servers: [other.address] }))).toBe(
      `forbidden: ${other.address} is a server of another cluster than the token's: ` +
        "use a token of its own, or the address of the token's server",
    );
    expect(other.cluster.store.view().nodes.size).toBe(0);
  });

  test("nothing by one who repeats the CA's certificate but has no key of it", async () => {
    const impostor = new Authority(await newAuthority());
    const server = await aTlsListener(impostor, JSON.stringify({ caCertificate: rig.ca }));
    expect(await refusal(ask({ servers: [server] }))).toBe(
      `forbidden: ${server} belongs to another cluster, or is not what it says it is`,
    );
  });

  test("what the server has against its token, without trying another address", async () => {
    const { tokens, clock, firstToken } = rig.cluster;
    const once = await tokens.create({ kind: "join", description: "", usesMax: 1 });
    await ask({ token: tokenOf(once.text), name: "first" });
    const servers = [rig.address, await aClosedPort()];
    const why = (text: string) => refusal(ask({ servers, token: tokenOf(text), name: "second" }));
    expect(await why(once.text)).toStartWith("unauthorized: the token is used up");
    await tokens.revoke(once.token.id);
    expect(await why(once.text)).toStartWith("unauthorized: the token is wrong or was revoked");
    expect(await refusal(ask({ name: "first" }))).toStartWith("conflict: another machine has");
    clock.time += DAY_MS;
    expect(await why(firstToken)).toStartWith("unauthorized: the token has expired");
  });

  test("what was found at each address", async () => {
    const servers = [await aClosedPort(), await aListener((socket) => void socket.end("no"))];
    expect(await refusal(ask({ servers }))).toBe(
      `unreachable: none of 2 servers lets this machine join: ${servers[0]} can't be reached: ` +
        "the machine is there, but nothing listens on this port: is `orchd server` running?; " +
        `something other than an orchd server answers on ${servers[1]}: is it the right port?`,
    );
  });
});

describe("a node renews its certificate", () => {
  test("by its key, also long after the old one ran out", async () => {
    const identity = await ask();
    rig.cluster.clock.time += 3 * 365 * DAY_MS;
    const { certificate, serverTime } = await renewCertificate(identity, rig.address);
    expect(serverTime).toBe(rig.cluster.clock.time);
    const ca = rig.cluster.authority.certificate;
    expect(checkPeer(derOf(certificate), ca, serverTime)).toMatchObject({
      state: "valid",
      nodeId: identity.nodeId,
    });
  });

  test("not after it was removed", async () => {
    const identity = await ask();
    await rig.removeNode(identity.nodeId);
    expect(await refusal(renewCertificate(identity, rig.address))).toBe(
      "removed: the node was removed: join again with a token",
    );
    expect(rig.port.refusals.get("unknownNode")).toBe(1);
  });

  test("at no server of another cluster", async () => {
    const identity = await ask();
    const other = await PortRig.open();
    others.push({ stop: () => void other.close() });
    expect(await refusal(renewCertificate(identity, other.address))).toBe(
      `forbidden: ${other.address} belongs to another cluster, or is not what it says it is`,
    );
  });
});
