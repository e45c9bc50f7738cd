import { afterEach, describe, expect, test } from "bun:test";
import { put } from "../../../src/model/change.ts";
import type { TokenId } from "../../../src/model/ids.ts";
import type { ByteStream, ExecSession } from "../../../src/model/session.ts";
import type { NewToken } from "../../../src/model/token.ts";
import { aNode, aService, aTask } from "../../builders.ts";
import { FakeAgent, until } from "../api/fixture.ts";
import { connectTo, PortRig, request } from "./port-rig.ts";

const ENDED =
  "the token has expired or was revoked meanwhile: " +
  "make one with `orchd token create --admin` on the server's machine";
const START = JSON.stringify({ command: ["cat"], tty: false, stdin: true, environment: {} });

let rig: PortRig;
let made: NewToken;
let agent: FakeAgent;
const closed: string[] = [];
afterEach(async () => {
  closed.length = 0;
  await rig.close();
});

/** Never prints and never ends by itself. */
function silence(): AsyncIterable<never> {
  return { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) };
}

function quietCommand(): ExecSession {
  return {
    output: silence(),
    exitCode: new Promise(() => {}),
    write: async () => {},
    closeStdin: () => {},
    resize: async () => {},
    close: () => void closed.push("command"),
  };
}

function quietConnection(): ByteStream {
  return {
    input: silence(),
    write: async () => {},
    end: () => {},
    close: () => void closed.push("connection"),
  };
}

/** A server with a running task and an admin token. */
async function open(expiresInMs?: number): Promise<void> {
  agent = new FakeAgent("n1");
  agent.session = quietCommand();
  agent.connection = quietConnection();
  rig = await PortRig.open({}, [agent]);
  const web = aService();
  const { store, tokens } = rig.cluster;
  await store.commit([put.node(aNode()), put.service(web), put.task(aTask(web, "t1"))]);
  const expires = expiresInMs === undefined ? {} : { expiresInMs };
  made = await tokens.create({ kind: "admin", description: "", ...expires });
}

const bearer = () => ({ authorization: `Bearer ${made.text}` });

/** Events as they come; `rest` is what was read up to the end of the connection. */
async function followEvents() {
  const socket = connectTo(rig);
  let text = "";
  const rest = new Promise<string>((resolve) => socket.on("close", () => resolve(text)));
  socket.on("data", (data: Buffer) => (text += data.toString()));
  socket.on("secureConnect", () => {
    socket.write(request("GET", "/v1/events?follow=true", undefined, bearer()));
  });
  await until(() => text.includes("200 OK"));
  return { rest, socket, text: () => text };
}

/** A WebSocket that has started; what it says last. */
function webSocket(path: string, first?: string) {
  const socket = new WebSocket(`wss://${rig.address}${path}`, {
    tls: { ca: rig.ca, serverName: "server.orchd" },
    headers: bearer(),
  });
  const started = Promise.withResolvers<void>();
  const last = Promise.withResolvers<string>();
  let text = "";
  socket.addEventListener("open", () => first !== undefined && socket.send(first));
  socket.addEventListener("message", ({ data }) => {
    text = String(data);
    if (text.includes("started")) started.resolve();
  });
  socket.addEventListener("close", () => last.resolve(text));
  return { started: started.promise, last: last.promise };
}

describe("what a token opened ends with it", () => {
  const ways: [string, (id: TokenId) => Promise<unknown>][] = [
    ["when it is revoked", (id) => rig.cluster.tokens.revoke(id)],
    ["when it gets another secret", (id) => rig.cluster.tokens.rotate(id)],
  ];
  test.each(ways)("%s: a stream, a command and a connection, and says why", async (_, end) => {
    await open();
    const events = await followEvents();
    const exec = webSocket("/v1/exec?task=shop/web.1", START);
    const forward = webSocket("/v1/forward?task=shop/web.1&port=80");
    await Promise.all([exec.started, forward.started]);
    await end(made.token.id);
    const error = JSON.stringify({ type: "error", code: "unauthorized", message: ENDED });
    expect(await Promise.all([exec.last, forward.last])).toEqual([error, error]);
    expect(await events.rest).toContain(`"message":"${ENDED}"`);
    expect(closed.sort()).toEqual(["command", "connection"]);
  });

  test("when its time is over", async () => {
    await open(300);
    const events = await followEvents();
    await until(() => rig.port.connections.open === 1);
    rig.cluster.clock.time += 300;
    expect(await events.rest).toContain(`"message":"${ENDED}"`);
  });

  test("and an upload with it, which nobody takes for whole", async () => {
    await open();
    const socket = connectTo(rig);
    let text = "";
    socket.on("data", (data: Buffer) => (text += data.toString()));
    const headers = { ...bearer(), "content-type": "application/octet-stream" };
    socket.on("secureConnect", () => {
      const head = request("POST", "/v1/images", undefined, headers);
      socket.write(head.replace("content-length: 0", "content-length: 1000000"));
      socket.write("part");
    });
    await until(() => rig.port.connections.open === 1 && rig.port.connections.waiting === 0);
    await until(() => rig.calls.some(([what]) => what === "loading"));
    await rig.cluster.tokens.revoke(made.token.id);
    await until(() => text.includes("HTTP/1.1 401") && text.includes(ENDED));
    await until(() => rig.port.connections.open === 0);
    expect(rig.calls.filter(([what]) => what === "load")).toEqual([]);
  });

  test("and nothing else: what another token opened goes on", async () => {
    await open();
    const other = await rig.cluster.tokens.create({ kind: "admin", description: "" });
    const events = await followEvents();
    await rig.cluster.tokens.revoke(other.token.id);
    const { token } = await rig.cluster.tokens.create({ kind: "join", description: "news" });
    await until(() => events.text().includes(token.id));
    events.socket.destroy();
  });
});
