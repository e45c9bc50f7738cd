import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { connectTcp } from "../../../src/net/byte-stream.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** Listens on a free port of loopback. */
async function listen(serve: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    cleanups.push(() => socket.destroy());
    socket.on("error", () => {});
    serve(socket);
  });
  cleanups.push(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

async function textOf(input: AsyncIterable<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of input) text += new TextDecoder().decode(chunk);
  return text;
}

const bytes = (text: string) => new TextEncoder().encode(text);

describe("a TCP connection as a stream", () => {
  test("brings an answer that is only given after the question has ended", async () => {
    const port = await listen((socket) => {
      let question = "";
      socket.on("data", (data) => (question += data.toString()));
      socket.on("end", () => socket.end(`${question}!`));
    });
    const stream = await connectTcp("127.0.0.1", port);
    await stream.write(bytes("hello"));
    stream.end();
    expect(await textOf(stream.input)).toBe("hello!");
    stream.close();
  });

  test("can be written to after the other side has said all that it had to", async () => {
    const heard = Promise.withResolvers<string>();
    const port = await listen((socket) => {
      let text = "";
      socket.end("done");
      socket.on("data", (data) => (text += data.toString()));
      socket.on("end", () => heard.resolve(text));
    });
    const stream = await connectTcp("127.0.0.1", port);
    expect(await textOf(stream.input)).toBe("done");
    await stream.write(bytes("late"));
    stream.end();
    expect(await heard.promise).toBe("late");
    stream.close();
  });

  test("makes the writer wait for a reader that does not read", async () => {
    const port = await listen((socket) => socket.pause());
    const stream = await connectTcp("127.0.0.1", port);
    const chunk = new Uint8Array(1024 * 1024);
    let written = 0;
    const writing = (async () => {
      for (; written < 64; written++) await stream.write(chunk);
    })();
    let seen = -1;
    // What the two sockets hold is bounded, so at some point no more gets in.
    while (seen !== written) {
      seen = written;
      for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(written).toBeLessThan(32);
    stream.close();
    await writing;
  });

  test("is refused where nothing listens", async () => {
    const port = await listen(() => {});
    for (const cleanup of cleanups.splice(0)) cleanup();
    const error: unknown = await connectTcp("127.0.0.1", port).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "unreachable", retryable: true });
    expect((error as Error).message).toContain("nothing listens");
  });
});
