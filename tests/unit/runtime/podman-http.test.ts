import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { OrchdError } from "../../../src/lib/errors.ts";
import { PodmanHttp } from "../../../src/runtime/podman/http.ts";
import { linesOf } from "../../../src/runtime/podman/lines.ts";

const MIB = 1024 * 1024;
const schema = z.object({ Id: z.string() });

/** Something on Podman's socket that answers with whatever bytes a test wants. */
describe("a Podman that can't be trusted", () => {
  let dir = "";
  let http: PodmanHttp;
  let server: Server;
  let answer: (socket: Socket) => void;
  const sockets = new Set<Socket>();

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "orchd-http-"));
    http = new PodmanHttp(join(dir, "podman.sock"));
    server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {
        // The other side gave up, as it should.
      });
      socket.once("data", () => answer(socket));
    });
    await new Promise<void>((resolve) => server.listen(http.socketPath, resolve));
  });

  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    await new Promise((resolve) => server.close(resolve));
    await rm(dir, { recursive: true, force: true });
  });

  const failure = async (call: Promise<unknown>): Promise<OrchdError> => {
    const error = await call.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error instanceof OrchdError) return error;
    throw new Error("not an OrchdError", { cause: error });
  };
  const reply = (status: string, body: string) => (socket: Socket) =>
    socket.end(`HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);

  test("a good reply is read", async () => {
    answer = reply("200 OK", '{"Id":"c1","More":1}');
    expect(await http.json(schema, "GET", "/x")).toEqual({ Id: "c1" });
  });

  test("a reply of another shape, of HTML, or cut off is one sentence", async () => {
    for (const body of ['{"Id":7}', "<html>", '{"Id":"c', "null", ""]) {
      answer = reply("200 OK", body);
      const error = await failure(http.json(schema, "GET", "/containers/x/json?a=b"));
      expect(error.code).toBe("runtime");
      expect(error.message).toBe("Podman's reply to /containers/x/json makes no sense");
    }
  });

  test("a reply that never ends is not kept", async () => {
    const piece = "x".repeat(MIB);
    let sent = 0;
    answer = (socket) => {
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      const more = (): void => {
        if (socket.destroyed || sent > 200 * MIB) return;
        sent += MIB;
        socket.write(`${MIB.toString(16)}\r\n${piece}\r\n`, () => setImmediate(more));
      };
      more();
    };
    const error = await failure(http.json(schema, "GET", "/x"));
    expect(error.message).toBe("Podman's reply is far larger than any that makes sense");
    expect(sent).toBeLessThan(100 * MIB);
  });

  test("an error of any size is cut", async () => {
    answer = reply("500 Internal Server Error", "y".repeat(4 * MIB));
    expect((await failure(http.send("POST", "/x"))).message.length).toBeLessThan(500);
  });

  test("silence ends with the call's time", async () => {
    answer = () => {};
    const error = await failure(http.text("GET", "/x", { timeoutMs: 30 }));
    expect(error).toMatchObject({ code: "unreachable", retryable: true });
    expect(await http.ping(30)).toBe(false);
  });

  test("a connection that is cut is told as unreachable", async () => {
    answer = (socket) => socket.destroy();
    const error = await failure(http.text("GET", "/x"));
    expect(error).toMatchObject({ code: "unreachable", retryable: true });
    const { signal } = new AbortController();
    expect((await failure(http.stream("GET", "/x", signal))).code).toBe("unreachable");
    expect((await failure(http.upgrade("/x", {}))).code).toBe("unreachable");
  });

  test("a refusal of a stream or an upgrade carries its reason", async () => {
    answer = reply("404 Not Found", '{"message":"no such container","response":404}');
    const { signal } = new AbortController();
    expect((await failure(http.stream("GET", "/x", signal))).code).toBe("notFound");
    expect((await failure(http.upgrade("/x", {}))).code).toBe("notFound");
  });

  test("a line that never ends is refused, and a stream that breaks is over", async () => {
    const pieces = async function* (...texts: string[]) {
      for (const text of texts) yield new TextEncoder().encode(text);
      throw new Error("connection reset");
    };
    const lines: string[] = [];
    for await (const line of linesOf(pieces("a\nb", "c\nd"), 10)) lines.push(line);
    expect(lines).toEqual(["a", "bc", "d"]);
    const endless = (async () => {
      for await (const _ of linesOf(pieces("x".repeat(20), "y"), 10));
    })();
    expect((await failure(endless)).code).toBe("runtime");
  });
});
