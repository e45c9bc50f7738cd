import { describe, expect, test } from "bun:test";
import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { checkAt } from "../../../../src/net/checks/check.ts";
import { answering, atEnd, closedPort, serve } from "./rig.ts";

function check(port: number, service = "", withinMs = 4000) {
  const signal = AbortSignal.timeout(withinMs);
  return checkAt("127.0.0.1", { type: "grpc", port, service }, signal);
}

/** A program that speaks gRPC; `answer` is given the request's message. */
async function program(answer: (stream: ServerHttp2Stream, request: Buffer) => void) {
  const server = createServer();
  const seen: Record<string, unknown>[] = [];
  server.on("sessionError", () => {
    // The other side went away, as it may.
  });
  server.on("stream", (stream, headers) => {
    seen.push(headers);
    const parts: Buffer[] = [];
    stream.on("error", () => {});
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("end", () => answer(stream, Buffer.concat(parts)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(() => server.close());
  return { port: (server.address() as AddressInfo).port, seen };
}

/** Answers as gRPC does: the message in its frame, and how it went in the trailers. */
function reply(stream: ServerHttp2Stream, message: number[], status = "0", reason = ""): void {
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () =>
    stream.sendTrailers({ "grpc-status": status, "grpc-message": reason }),
  );
  stream.end(Buffer.from([0, 0, 0, 0, message.length, ...message]));
}

describe("a check by gRPC", () => {
  for (const [value, ok, output] of [
    [[8, 1], true, "gRPC: SERVING"],
    [[8, 2], false, "gRPC: NOT_SERVING"],
    [[], false, "gRPC: UNKNOWN"],
    [[8, 3], false, "gRPC: SERVICE_UNKNOWN"],
    [[8, 200], false, "gRPC: its answer makes no sense"],
    [[16, 1], false, "gRPC: its answer makes no sense"],
  ] as const) {
    test(`that is answered with [${value.join(" ")}] tells ${output}`, async () => {
      const { port } = await program((stream) => reply(stream, [...value]));
      expect(await check(port)).toEqual({ ok, output });
    });
  }

  test("asks for the service that it is told to", async () => {
    let asked: number[] = [];
    const { port, seen } = await program((stream, request) => {
      asked = [...request];
      reply(stream, [8, 1]);
    });
    expect((await check(port, "shop")).ok).toBe(true);
    expect(asked).toEqual([0, 0, 0, 0, 6, 0x0a, 4, ...Buffer.from("shop")]);
    expect(seen[0]).toMatchObject({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Check",
      "content-type": "application/grpc",
      te: "trailers",
    });
  });

  test("of a program without a health service says so", async () => {
    const { port } = await program((stream) => reply(stream, [], "12", "unknown service"));
    expect(await check(port)).toEqual({ ok: false, output: "gRPC: it has no health service" });
  });

  test("that ends in an error tells its code and its reason", async () => {
    const { port } = await program((stream) => reply(stream, [], "14", "no database"));
    expect(await check(port)).toEqual({ ok: false, output: "gRPC: status 14: no database" });
  });

  test("of something else fails: plain HTTP, another protocol, silence, nothing", async () => {
    const { port } = await program((stream) =>
      stream.respond({ ":status": 404 }, { endStream: true }),
    );
    expect(await check(port)).toMatchObject({ ok: false });
    expect(await check(await answering("HTTP/1.1 400 Bad Request\r\n\r\n"))).toMatchObject({
      ok: false,
    });
    expect(await check(await serve(() => {}), "", 100)).toMatchObject({ ok: false });
    expect(await check(await serve((socket) => void socket.destroy()))).toMatchObject({
      ok: false,
    });
    expect(await check(await closedPort())).toMatchObject({ ok: false });
  });

  test("that is answered without end is left", async () => {
    const { port } = await program((stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      const pour = setInterval(() => stream.write(Buffer.alloc(700)), 1);
      atEnd(() => clearInterval(pour));
      stream.on("close", () => clearInterval(pour));
    });
    expect(await check(port)).toMatchObject({ ok: false });
  });
});
