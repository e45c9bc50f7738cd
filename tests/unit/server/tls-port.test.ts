import { afterEach, describe, expect, test } from "bun:test";
import { createConnection } from "node:net";
import { OrchdError } from "../../../src/lib/errors.ts";
import { put } from "../../../src/model/change.ts";
import type { HostCertificatesAnswer } from "../../../src/model/join.ts";
import { checkCredentials } from "../../../src/pki/credentials.ts";
import { newKey } from "../../../src/pki/keys.ts";
import { newRequest } from "../../../src/pki/request.ts";
import { aCertificate, DAY_MS } from "../../pki.ts";
import { anIngressRule, aNode, aService, aTask } from "../../builders.ts";
import { FakeAgent, until } from "../api/fixture.ts";
import {
  aJoinedNode,
  askRaw,
  connectTo,
  type Credentials,
  PortRig,
  request,
  sentenceIn,
  upgrade,
} from "./port-rig.ts";

let rig: PortRig;
afterEach(() => rig.close());

async function adminToken(): Promise<string> {
  return (await rig.cluster.tokens.create({ kind: "admin", description: "" })).text;
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** A certificate of the node's key as the CA would sign it, for another time. */
async function forTime(node: Credentials & { nodeId: string }, over: object): Promise<Credentials> {
  const subject = `CN=node:${node.nodeId}`;
  return aCertificate({ key: node.key, signer: rig.cluster.caKey, subject, ...over });
}

describe("without a certificate", () => {
  test("a person with a token may do what root may on the socket", async () => {
    rig = await PortRig.open();
    const token = await adminToken();
    const version = await askRaw(rig, request("GET", "/v1/version", undefined, bearer(token)));
    expect(JSON.parse(version.text)).toMatchObject({ version: "1.2.3" });
    const scale = request("POST", "/v1/tokens", { kind: "admin" }, bearer(token));
    expect((await askRaw(rig, scale)).status).toBe(201);
  });

  test("nobody gets past any address but two without a token", async () => {
    rig = await PortRig.open();
    const answers = await Promise.all(
      (await everyRoute(await adminToken())).map(async ([method, path]) => {
        const { status } = await askRaw(
          rig,
          request(method, path, method === "GET" ? undefined : {}),
        );
        return `${method} ${path} ${status}`;
      }),
    );
    const open = answers.filter((answer) => !answer.endsWith(" 401"));
    // The second one is open and finds no token in the body.
    expect(open.sort()).toEqual(["GET /v1/ca 200", "POST /v1/join 400"]);
    expect(answers.length).toBeGreaterThan(20);
    expect(rig.calls).toEqual([]);
  });

  test("no way of writing an address gets past the token", async () => {
    rig = await PortRig.open();
    const paths = [
      "/v1/ca/../nodes",
      "/v1/ca%2f..%2fnodes",
      "/v1/nodes?x=/v1/ca",
      "//v1/ca",
      "/v1/ca/",
      "/V1/CA",
      "/v1/%6eodes",
      "http://orchd/v1/nodes",
      "/v1/ca;/../nodes",
    ];
    const texts = [
      ...paths.map((path) => request("GET", path)),
      request("GET", "/nodes", undefined, { host: "orchd/v1/ca?" }),
      request("DELETE", "/v1/ca"),
      request("GET", "/v1/join"),
      request("POST", "/v1/ca", {}, { "x-http-method-override": "GET" }),
    ];
    const answers = await Promise.all(texts.map((text) => askRaw(rig, text)));
    const leaked = answers.filter(
      ({ status, text }) => status === 200 && text.includes("hostname"),
    );
    expect(leaked).toEqual([]);
    // The CA's own address may be written as the URL standard allows; nothing else answers.
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status < 300 && status !== 0).length).toBeLessThan(2);
  });

  test("a wrong token ends the connection, before the body is read", async () => {
    rig = await PortRig.open();
    const endless = request("PUT", "/v1/stacks/shop", undefined, {
      "content-length": "2000000000",
      connection: "keep-alive",
      "content-type": "application/json",
      authorization: "Bearer nonsense",
    });
    const answer = await askRaw(rig, `${endless}{"services":`);
    expect(answer.status).toBe(401);
    expect(sentenceIn(answer)).toBe("this is no token of orchd: one begins with ORCHD-1-");
  });

  test("a machine joins, and asks for no more than 64 KiB", async () => {
    rig = await PortRig.open();
    const large = request("POST", "/v1/join", { secret: "x".repeat(70_000) });
    expect((await askRaw(rig, large)).status).toBe(413);
    const declared = request("POST", "/v1/join", {}, { "content-length": "2000000000" });
    expect((await askRaw(rig, declared)).status).toBe(413);
  });

  test("a stream goes on while its connection is quiet", async () => {
    rig = await PortRig.open({ firstRequestWithinMs: 100 });
    const headers = { ...bearer(await adminToken()), connection: "keep-alive" };
    const socket = connectTo(rig);
    let text = "";
    socket.on("data", (data: Buffer) => (text += data.toString()));
    socket.on("secureConnect", () => {
      socket.write(request("GET", "/v1/events?follow=true", undefined, headers));
    });
    await until(() => text.includes("200 OK"));
    const silent = createConnection(rig.port.port, "127.0.0.1");
    await until(() => rig.port.connections.waiting === 1);
    // Whoever came later and asked nothing is gone: the stream has outlived that time.
    await until(() => rig.port.refusals.get("silent") === 1);
    const { token } = await rig.cluster.tokens.create({ kind: "join", description: "" });
    await until(() => text.includes(token.id));
    silent.destroy();
    socket.destroy();
  });

  test("a command's WebSocket opens with a token, and not without", async () => {
    const agent = new FakeAgent("n1");
    agent.failure = new OrchdError("runtime", "the command is not there");
    rig = await PortRig.open({}, [agent]);
    const web = aService();
    const task = aTask(web, "t1");
    await rig.cluster.store.commit([put.node(aNode()), put.service(web), put.task(task)]);
    const token = await adminToken();
    const open = (headers: Record<string, string>) => {
      const socket = new WebSocket(`wss://${rig.address}/v1/exec?task=shop/web.1`, {
        tls: { ca: rig.ca, serverName: "server.orchd" },
        headers,
      });
      const start = { command: ["cat"], tty: false, stdin: true, environment: {} };
      return new Promise<string>((resolve) => {
        socket.addEventListener("open", () => socket.send(JSON.stringify(start)));
        socket.addEventListener("error", () => resolve("refused"));
        socket.addEventListener("message", ({ data }) => resolve(String(data)));
      });
    };
    expect(await open({})).toBe("refused");
    expect(agent.executed).toHaveLength(0);
    expect(await open(bearer(token))).toContain("the command is not there");
    expect(agent.executed).toHaveLength(1);
  });
});

describe("with its certificate", () => {
  test("a node gets a session", async () => {
    rig = await PortRig.open();
    const node = await aJoinedNode(rig.cluster, "a");
    const socket = connectTo(rig, node, { ca: rig.ca, rejectUnauthorized: true });
    let text = "";
    socket.on("data", (data: Buffer) => (text += data.toString()));
    socket.on("secureConnect", () => void socket.write(upgrade()));
    await until(() => text.includes("101 Switching"));
    socket.write("hello");
    await until(() => text.endsWith("hello"));
    expect(rig.sessions.map(({ peer }) => peer.nodeId)).toEqual([node.nodeId]);
    expect(rig.port.connections).toEqual({ open: 1, waiting: 0 });
    socket.destroy();
    await until(() => rig.port.connections.open === 0);
  });

  test("a node may ask nothing else: every address of people refuses it", async () => {
    rig = await PortRig.open();
    const node = await aJoinedNode(rig.cluster, "a");
    const token = await adminToken();
    const answers = await Promise.all(
      (await everyRoute(token)).map(async ([method, path]) => {
        const text = request(method, path, method === "GET" ? undefined : {}, bearer(token));
        const { status } = await askRaw(rig, text, node);
        return `${method} ${path} ${status}`;
      }),
    );
    expect(answers.filter((answer) => !answer.endsWith(" 403"))).toEqual([]);
    expect(answers.length).toBeGreaterThan(20);
    expect(rig.calls).toEqual([]);
  });

  test("a node reads images, and puts none there", async () => {
    rig = await PortRig.open();
    const node = await aJoinedNode(rig.cluster, "a");
    const path = "/v2/web/manifests/1";
    const read = await askRaw(rig, request("GET", path), node);
    expect([read.status, read.text.includes("an image")]).toEqual([200, true]);
    for (const method of ["PUT", "POST", "DELETE"]) {
      expect((await askRaw(rig, request(method, path, {}), node)).status).toBe(403);
    }
    const old = await forTime(node, { notAfter: new Date(rig.cluster.clock.time - DAY_MS) });
    expect((await askRaw(rig, request("GET", path), old)).status).toBe(403);
    await rig.removeNode(node.nodeId);
    expect((await askRaw(rig, request("GET", path), node)).status).toBe(403);
  });

  test("a node whose time ran out, or has not come, may only renew its certificate", async () => {
    rig = await PortRig.open();
    const node = await aJoinedNode(rig.cluster, "a");
    const now = rig.cluster.clock.time;
    const csr = await newRequest(node.key);
    for (const over of [
      { notAfter: new Date(now - DAY_MS) },
      { notBefore: new Date(now + DAY_MS), notAfter: new Date(now + 2 * DAY_MS) },
    ]) {
      const late = await forTime(node, over);
      const session = await askRaw(rig, upgrade(), late);
      expect(session.status).toBe(403);
      expect(sentenceIn(session)).toBe(
        "the node's certificate is not valid now: ask for a new one first",
      );
      const renewal = await askRaw(rig, request("POST", "/v1/certificate", { csr }), late);
      expect(renewal.status).toBe(200);
      const hosts = request("POST", "/v1/host-certificates", { csr, hosts: ["a.example"] });
      expect((await askRaw(rig, hosts, late)).status).toBe(403);
      const { certificate } = JSON.parse(renewal.text) as Credentials;
      const fresh = connectTo(rig, { key: node.key, certificate });
      fresh.on("secureConnect", () => void fresh.write(upgrade()));
      const before = rig.sessions.length;
      await until(() => rig.sessions.length > before);
      fresh.destroy();
    }
  });

  test("a node asks for a certificate of its own key alone, in a small request", async () => {
    rig = await PortRig.open();
    const node = await aJoinedNode(rig.cluster, "a");
    const post = (body: unknown) => askRaw(rig, request("POST", "/v1/certificate", body), node);
    const other = await post({ csr: await newRequest(await newKey()) });
    expect([other.status, sentenceIn(other)]).toEqual([
      403,
      "a node's certificate is renewed for its own key: join again for another",
    ]);
    const none = await post({ csr: 7 });
    expect([none.status, sentenceIn(none)]).toEqual([400, "the body is no certificate request"]);
    expect((await post({ csr: "x".repeat(40_000) })).status).toBe(413);
    expect((await post({ csr: "secret words" })).text).not.toContain("secret words");
  });

  test("a node gets certificates for hosts that services want so, and no other", async () => {
    rig = await PortRig.open();
    const node = await aJoinedNode(rig.cluster, "a");
    const ingress = [
      anIngressRule({ host: "a.example", tls: "cluster" }),
      anIngressRule({ host: "plain.example" }),
      anIngressRule({ host: "server.orchd", tls: "cluster" }),
    ];
    await rig.cluster.store.commit([put.service(aService({ ingress }))]);
    const key = await newKey();
    const hosts = ["a.example", "plain.example", "server.orchd", "other.example", "a.example"];
    const body = { csr: await newRequest(key), hosts };
    const answer = await askRaw(rig, request("POST", "/v1/host-certificates", body), node);
    const { certificates } = JSON.parse(answer.text) as HostCertificatesAnswer;
    expect(certificates.map(({ host }) => host)).toEqual(["a.example"]);
    const { certificate = "" } = certificates[0] ?? {};
    const made = { key, certificate };
    const now = rig.cluster.clock.now();
    expect(checkCredentials({ ...made, host: "a.example", now })).not.toHaveProperty("problem");
    // It opens nothing here.
    const socket = await askRaw(rig, upgrade(), made).catch(() => undefined);
    expect(socket?.status).not.toBe(101);
    expect(rig.port.refusals.get("wrongUsage")).toBe(1);
  });

  test("a node that is removed loses what it has open and is not let in again", async () => {
    rig = await PortRig.open();
    const [node, other] = [
      await aJoinedNode(rig.cluster, "a"),
      await aJoinedNode(rig.cluster, "b"),
    ];
    const sockets = [node, other].map((one) => connectTo(rig, one));
    const closed: number[] = [];
    sockets.forEach((socket, i) => {
      socket.on("close", () => closed.push(i)).resume();
      socket.on("secureConnect", () => void socket.write(upgrade()));
    });
    await until(() => rig.sessions.length === 2);
    await rig.removeNode(node.nodeId);
    await until(() => closed.length === 1 && rig.port.connections.open === 1);
    expect(closed).toEqual([0]);
    const csr = await newRequest(node.key);
    for (const text of [upgrade(), request("POST", "/v1/certificate", { csr })]) {
      const answer = await askRaw(rig, text, node);
      expect(answer.status).toBe(403);
      expect(sentenceIn(answer)).toBe("the node was removed: join again with a token");
    }
    expect(rig.port.refusals.get("unknownNode")).toBe(2);
    sockets[1]?.destroy();
  });
});

describe("whoever only costs something", () => {
  test("is ended when nothing was asked in time, at any point on the way", async () => {
    rig = await PortRig.open({ firstRequestWithinMs: 100 });
    const node = await aJoinedNode(rig.cluster, "a");
    const closed: string[] = [];
    const raw = createConnection(rig.port.port, "127.0.0.1");
    raw.on("close", () => closed.push("no handshake")).on("error", () => {});
    const starts: [string, string, Credentials?][] = [
      ["silent", ""],
      ["half a head", "GET /v1/version HTTP/1.1\r\nhost: orchd\r\n"],
      ["silent node", "", node],
      ["half a node's head", "GET /v1/session HTTP/1.1\r\nhost: orchd\r\n", node],
      [
        "node without its body",
        request("POST", "/v1/certificate", {}, { "content-length": "9" }),
        node,
      ],
    ];
    for (const [name, text, as] of starts) {
      const socket = connectTo(rig, as);
      socket.on("close", () => closed.push(name)).on("error", () => {});
      socket.on("secureConnect", () => void (text !== "" && socket.write(text)));
    }
    await until(() => rig.port.connections.open === 6);
    await until(() => closed.length === 6 && rig.port.connections.open === 0);
    expect(rig.port.connections).toEqual({ open: 0, waiting: 0 });
    expect(rig.port.refusals.get("silent")).toBe(6);
  });

  test("makes room when too many wait, the longest first, and never for one at work", async () => {
    rig = await PortRig.open({ waitingMax: 3 });
    const node = await aJoinedNode(rig.cluster, "a");
    const session = connectTo(rig, node);
    session.on("secureConnect", () => void session.write(upgrade()));
    await until(() => rig.sessions.length === 1);
    const closed: number[] = [];
    for (let i = 0; i < 5; i++) {
      const socket = createConnection(rig.port.port, "127.0.0.1");
      socket.on("close", () => closed.push(i)).on("error", () => {});
      await until(() => rig.port.connections.open === Math.min(i + 2, 4));
    }
    await until(() => closed.length === 2);
    expect(closed).toEqual([0, 1]);
    expect(rig.port.connections).toEqual({ open: 4, waiting: 3 });
    expect(rig.port.refusals.get("tooManyWaiting")).toBe(2);
    session.destroy();
  });

  test("is refused when all connections are taken", async () => {
    rig = await PortRig.open({ connectionsMax: 2 });
    const held = [1, 2].map(() => createConnection(rig.port.port, "127.0.0.1"));
    await until(() => rig.port.connections.open === 2);
    expect((await askRaw(rig, request("GET", "/v1/ca"))).status).toBe(0);
    expect(rig.port.refusals.get("tooManyConnections")).toBe(1);
    for (const socket of held) socket.destroy();
    await until(() => rig.port.connections.open === 0);
    expect((await askRaw(rig, request("GET", "/v1/ca"))).status).toBe(200);
  });

  test("leaves room for nodes whoever else comes, and one node for the others", async () => {
    rig = await PortRig.open({ peopleMax: 1, perNodeMax: 2 });
    const [a, b] = [await aJoinedNode(rig.cluster, "a"), await aJoinedNode(rig.cluster, "b")];
    const stream = request("GET", "/v1/events?follow=true", undefined, bearer(await adminToken()));
    const open = async (text: string, as?: Credentials) => {
      const socket = connectTo(rig, as);
      let received = "";
      socket.on("error", () => {});
      socket.on("data", (data: Buffer) => (received += data.toString()));
      socket.on("secureConnect", () => void socket.write(text));
      await until(() => received.includes("HTTP/1.1"));
      return socket;
    };
    const held = [await open(stream), await open(upgrade(), a), await open(upgrade(), a)];
    expect((await askRaw(rig, request("GET", "/v1/ca"))).status).toBe(0);
    expect((await askRaw(rig, upgrade(), a)).status).toBe(0);
    expect(rig.port.refusals.get("tooManyConnections")).toBe(2);
    held.push(await open(upgrade(), b));
    for (const socket of held) socket.destroy();
    await until(() => rig.port.connections.open === 0);
    expect((await askRaw(rig, request("GET", "/v1/ca"))).status).toBe(200);
  });

  test("takes nothing from others by opening hundreds of connections", async () => {
    rig = await PortRig.open();
    const idle = [];
    // In two portions: more at once than the kernel keeps for the port would come a second later.
    for (const count of [400, 300]) {
      const before = rig.port.connections.open;
      for (let i = 0; i < count; i++) {
        const socket = createConnection(rig.port.port, "127.0.0.1");
        idle.push(socket.on("error", () => {}));
      }
      await until(() => rig.port.connections.open === Math.min(512, before + count));
    }
    await until(() => (rig.port.refusals.get("tooManyWaiting") ?? 0) >= 700 - 512);
    expect(rig.port.connections.open).toBe(512);
    expect((await askRaw(rig, request("GET", "/v1/ca"))).status).toBe(200);
    for (const socket of idle) socket.destroy();
    await until(() => rig.port.connections.open === 0);
  });

  test("sends a head without an end, or none at all", async () => {
    rig = await PortRig.open();
    const node = await aJoinedNode(rig.cluster, "a");
    const endless = `GET / HTTP/1.1\r\n${"x: y\r\n".repeat(15_000)}`;
    expect((await askRaw(rig, endless)).status).toBe(0);
    expect((await askRaw(rig, "\u0000\u0001 garbage\r\n\r\n", node)).status).toBeOneOf([0, 400]);
    expect((await askRaw(rig, "\u0000\u0001 garbage\r\n\r\n")).status).toBeOneOf([0, 400]);
    await until(() => rig.port.connections.open === 0);
    expect(rig.port.refusals.get("badRequest")).toBe(2);
  });

  test("is logged once a minute at most", async () => {
    rig = await PortRig.open();
    for (let i = 0; i < 5; i++) await askRaw(rig, "x", await aCertificate());
    expect(rig.logged).toEqual([
      "a connection from 127.0.0.1 was refused: its certificate is not of this cluster",
    ]);
    rig.cluster.clock.time += 60_000;
    await askRaw(rig, "x", await aCertificate());
    expect(rig.logged.at(-1)).toBe(
      "a connection from 127.0.0.1 was refused: its certificate is not of this cluster, " +
        "and 4 others before it",
    );
  });
});

/** Method and path of every route in the server's own description. */
async function everyRoute(token: string): Promise<[string, string][]> {
  const text = request("GET", "/v1/openapi.json", undefined, bearer(token));
  const answer = await askRaw(rig, text);
  const start = answer.text.indexOf("{");
  const { paths } = JSON.parse(answer.text.slice(start, answer.text.lastIndexOf("}") + 1)) as {
    paths: Record<string, Record<string, object>>;
  };
  const routes = Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method): [string, string] => [
      method.toUpperCase(),
      path.replaceAll(/\{\w+\}/g, "shop"),
    ]),
  );
  return [...routes, ["GET", "/v1/openapi.json"], ["GET", "/"]];
}
