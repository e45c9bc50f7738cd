import { afterEach, describe, expect, test } from "bun:test";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { parsePortPair } from "../../../src/cli/forward/port-pairs.ts";
import { FakeIo, run } from "./fake-io.ts";
import { FakeServer, type Routes } from "./fake-server.ts";
import { aTaskSummary } from "./samples.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const aTask: Routes = {
  "GET /v1/resolve": () => ({ kind: "task", id: "t1", name: "shop/web.1" }),
};
const aService = { kind: "service", id: "s1", name: "shop/web", stack: "shop", service: "web" };

/** Answers what it was told in capitals, once it was told everything. */
const loud: Bun.WebSocketHandler<undefined> = {
  open: (ws) => void ws.send(JSON.stringify({ type: "started" })),
  message(ws, message) {
    if (typeof message !== "string")
      return void ws.send(Buffer.from(message.toString().toUpperCase()));
    ws.send(JSON.stringify({ type: "eof" }));
    ws.close(1000);
  },
};

/** The command line, running until Ctrl-C. */
function forward(argv: string[], routes = aTask, websocket = loud) {
  const server = new FakeServer(routes, websocket);
  const io = new FakeIo({ env: { ORCHD_SOCKET: server.socketPath } });
  const result = run(["port-forward", ...argv], io);
  cleanups.push(async () => {
    io.interrupt();
    await result;
    await server.stop();
  });
  return { io, server, result };
}

async function until(isSo: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 4000; !isSo();) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${isSo.toString()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The ports that the command line says it listens on. */
async function portsOf(io: FakeIo, count = 1): Promise<number[]> {
  const ports = () => [...io.out.join("").matchAll(/127\.0\.0\.1:(\d+) ->/g)];
  await until(() => ports().length === count);
  return ports().map(([, port]) => Number(port));
}

/** Says everything, ends its way, and answers what came until the other way ended. */
function talk(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket: Socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true }, () => {
      socket.end(text);
    });
    socket.on("data", (data) => (answer += data.toString()));
    socket.on("end", () => resolve(answer));
    socket.on("error", reject);
  });
}

describe("orchd port-forward", () => {
  test("leads a port of this machine to one of a task, for several connections", async () => {
    const { io, server } = forward(["web.1", ":80"]);
    const [port = 0] = await portsOf(io);
    expect(io.out.join("")).toBe(`Forwarding 127.0.0.1:${port} -> shop/web.1:80\n`);
    const texts = ["one", "two", "three", "four"];
    const answers = await Promise.all(texts.map((text) => talk(port, text)));
    expect(answers).toEqual(["ONE", "TWO", "THREE", "FOUR"]);
    const paths = server.requests.map(({ path }) => path).slice(1);
    expect(new Set(paths)).toEqual(new Set(["/v1/forward?task=t1&port=80"]));
  });

  test("takes several ports, and ends with Ctrl-C", async () => {
    const { io, result } = forward(["web.1", ":80", ":443"]);
    const [first = 0, second = 0] = await portsOf(io, 2);
    expect(io.out.join("")).toContain(`127.0.0.1:${second} -> shop/web.1:443`);
    io.interrupt();
    expect((await result).code).toBe(0);
    expect(await talk(first, "x").catch(() => "refused")).toBe("refused");
  });

  test("of a service goes to a task that is ready", async () => {
    const routes: Routes = {
      "GET /v1/resolve": () => aService,
      "GET /v1/tasks": () => [
        aTaskSummary({ id: "t1", state: "failed" }),
        aTaskSummary({ id: "t2", health: "starting" }),
        aTaskSummary({ id: "t3", name: "shop/web.3" }),
      ],
    };
    const { io } = forward(["web", ":80"], routes);
    await portsOf(io);
    expect(io.out.join("")).toContain("-> shop/web.3:80");
  });

  test("says why a connection failed, and goes on", async () => {
    const refusing: Bun.WebSocketHandler<undefined> = {
      open(ws) {
        const message = "port 80 of the task refuses connections";
        ws.send(JSON.stringify({ type: "error", code: "unreachable", message }));
        ws.close(1000);
      },
      message() {},
    };
    const { io } = forward(["web.1", ":80"], aTask, refusing);
    const [port = 0] = await portsOf(io);
    for (const times of [1, 2]) {
      await talk(port, "x").catch(() => "");
      await until(() => io.err.length === times);
    }
    expect(io.err[0]).toBe("port 80 of the task refuses connections\n");
  });

  test("says which port another program uses", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    cleanups.push(() => other.close());
    const { port } = other.address() as AddressInfo;
    const { result } = forward(["web.1", `${port}:80`]);
    const { code, err } = await result;
    expect(code).toBe(1);
    expect(err).toContain(`another program uses 127.0.0.1:${port}`);
  });

  test("needs a task or a service, one that runs", async () => {
    const node = { "GET /v1/resolve": () => ({ kind: "node", id: "n1", name: "n1" }) };
    expect((await forward(["n1", "80"], node).result).err).toContain("n1 is a node: name a task");
    const idle = { "GET /v1/resolve": () => aService, "GET /v1/tasks": () => [] };
    expect((await forward(["web", "80"], idle).result).err).toContain("shop/web runs no task");
  });
});

describe("a pair of ports", () => {
  test("is local and remote, the same, or a free one and remote", () => {
    expect(parsePortPair("8080:80")).toEqual({ local: 8080, remote: 80 });
    expect(parsePortPair("80")).toEqual({ local: 80, remote: 80 });
    expect(parsePortPair(":80")).toEqual({ local: 0, remote: 80 });
  });

  test("is nothing else", () => {
    for (const text of [
      "",
      ":",
      "0",
      "80:0",
      "65536",
      "65536:80",
      "a:80",
      "80:80:80",
      "-1",
      "80 ",
    ]) {
      expect(() => parsePortPair(text)).toThrow("is not a port");
    }
  });
});
