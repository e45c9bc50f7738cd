import { describe, expect, test } from "bun:test";
import { OrchdError } from "../../../src/lib/errors.ts";
import type { ByteStream, ExecSession, TerminalSize } from "../../../src/model/session.ts";
import { anId } from "../../builders.ts";
import { settled } from "../../sim/virtual-clock.ts";
import { linesOf, Rig } from "./rig.ts";

const task = anId<"task">("t");
const EXEC = { command: ["sh"], tty: false, stdin: true, environment: { A: "1" } };
const bytes = (text: string) => new TextEncoder().encode(text);
const textOf = (data: Uint8Array) => new TextDecoder().decode(data);

/** Prints back what it reads, then ends with 3 at the end of its input. */
class Cat implements ExecSession {
  readonly sizes: TerminalSize[] = [];
  readonly output: ReadableStream<{ stream: "stdout" | "stderr"; data: Uint8Array }>;
  readonly #exit = Promise.withResolvers<number>();
  readonly exitCode = this.#exit.promise;
  closed = 0;
  #sink: ReadableStreamDefaultController | undefined;

  constructor() {
    this.output = new ReadableStream({ start: (sink) => void (this.#sink = sink) });
  }

  async write(data: Uint8Array): Promise<void> {
    this.#sink?.enqueue({ stream: "stdout", data });
  }

  closeStdin(): void {
    this.#sink?.enqueue({ stream: "stderr", data: bytes("bye") });
    this.#sink?.close();
    this.#exit.resolve(3);
  }

  async resize(size: TerminalSize): Promise<void> {
    this.sizes.push(size);
  }

  close(): void {
    this.closed += 1;
  }
}

/** A TCP connection whose other side is the test. */
class FakeConnection implements ByteStream {
  readonly written: string[] = [];
  readonly input: ReadableStream<Uint8Array>;
  sink: ReadableStreamDefaultController<Uint8Array> | undefined;
  closed = false;

  constructor() {
    this.input = new ReadableStream({ start: (sink) => void (this.sink = sink) });
  }

  async write(data: Uint8Array): Promise<void> {
    this.written.push(textOf(data));
  }

  end(): void {
    this.written.push("(end)");
  }

  close(): void {
    this.closed = true;
  }
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe("logs of a task on another machine", () => {
  test("arrive line by line, with everything that a line can hold", async () => {
    const rig = new Rig();
    const { agent, remote } = await rig.joined();
    const texts = ["plain", "", "ü\u2028\u0000\t", "x".repeat(20_000), '{"at":1}'];
    agent.logLines = () => linesOf(texts);
    const options = { follow: false, tail: 10 };
    const lines = await collect(remote.logs(task, options, new AbortController().signal));
    expect(lines.map(({ text }) => text)).toEqual(texts);
    expect(agent.asked).toEqual([options]);
  });

  test("of a quiet program arrive within a moment, though more may follow", async () => {
    const rig = new Rig();
    const { agent, remote } = await rig.joined();
    agent.logLines = async function* (signal) {
      yield* linesOf(["first"]);
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    };
    const stop = new AbortController();
    const reading = remote.logs(task, { follow: true }, stop.signal);
    const [first] = await Promise.all([reading.next(), rig.pass(100)]);
    expect(first.value).toMatchObject({ text: "first" });
    const rest = reading.next();
    stop.abort();
    expect(await rest).toEqual({ done: true, value: undefined });
  });

  test("end on the node when nobody reads them any more", async () => {
    const rig = new Rig();
    const { agent, remote } = await rig.joined();
    const seen = Promise.withResolvers<AbortSignal>();
    agent.logLines = async function* (signal) {
      seen.resolve(signal);
      for (;;) yield* linesOf(["again"]);
    };
    const reading = remote.logs(task, { follow: true }, new AbortController().signal);
    await reading.next();
    await reading.return(undefined);
    await settled();
    expect((await seen.promise).aborted).toBe(true);
  });

  test("that are not there are told with the node's own error", async () => {
    const rig = new Rig();
    const { agent, remote } = await rig.joined();
    agent.logLines = () => {
      throw new OrchdError("notFound", "the container is gone", { cause: new Error("ENOENT") });
    };
    const reading = collect(remote.logs(task, { follow: false }, new AbortController().signal));
    const error: unknown = await reading.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "notFound", message: "the container is gone" });
    expect((error as OrchdError).cause).toMatchObject({ message: "ENOENT" });
  });

  test("break with the session, with an error that says to try again", async () => {
    const rig = new Rig();
    const { agent, remote, agentLink } = await rig.joined();
    agent.logLines = async function* () {
      yield* linesOf(["one"]);
      await new Promise(() => {});
    };
    const lines = collect(remote.logs(task, { follow: true }, new AbortController().signal));
    const failed = lines.catch((thrown: unknown) => thrown);
    await rig.pass(100);
    agentLink.terminate();
    expect(await failed).toMatchObject({ code: "unreachable", retryable: true });
  });
});

describe("a command in a task on another machine", () => {
  test("reads, prints on two streams, is resized, and ends with its exit code", async () => {
    const rig = new Rig();
    const { agent, remote } = await rig.joined();
    const cat = new Cat();
    agent.execSession = async () => cat;
    const session = await remote.exec(task, EXEC);
    const output = collect(session.output);
    await session.resize({ columns: 100, rows: 30 });
    const large = new Uint8Array(200_000).fill(7);
    await session.write(large);
    session.closeStdin();
    const printed = await output;
    const stdout = printed.filter(({ stream }) => stream === "stdout");
    expect(stdout.reduce((sum, { data }) => sum + data.length, 0)).toBe(large.length);
    expect(printed.at(-1)).toEqual({ stream: "stderr", data: bytes("bye") });
    expect(await session.exitCode).toBe(3);
    expect(cat.sizes).toEqual([{ columns: 100, rows: 30 }]);
    expect(agent.asked).toEqual([EXEC]);
  });

  test("that can't start is refused with the node's reason", async () => {
    const rig = new Rig();
    const { agent, remote } = await rig.joined();
    agent.execSession = () => Promise.reject(new OrchdError("notFound", "no such program: sh"));
    const error: unknown = await remote.exec(task, EXEC).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "notFound", message: "no such program: sh" });
  });

  test("loses its terminal when the server gives up", async () => {
    const rig = new Rig();
    const { agent, remote } = await rig.joined();
    const cat = new Cat();
    agent.execSession = async () => cat;
    const session = await remote.exec(task, EXEC);
    session.close();
    await settled();
    expect(cat.closed).toBeGreaterThan(0);
    expect(await session.exitCode.catch(() => "given up")).toBe("given up");
  });

  test("loses its terminal when the session breaks, and its reader hears of it", async () => {
    const rig = new Rig();
    const { agent, remote, agentLink } = await rig.joined();
    const cat = new Cat();
    agent.execSession = async () => cat;
    const session = await remote.exec(task, EXEC);
    const output = collect(session.output).catch((thrown: unknown) => thrown);
    agentLink.terminate();
    expect(await output).toMatchObject({ code: "unreachable", retryable: true });
    expect(await session.exitCode.catch(() => "broken")).toBe("broken");
    expect(cat.closed).toBeGreaterThan(0);
  });
});

describe("an archive for another machine", () => {
  const how = { stop: false, mount: undefined };

  test("is sent whole, and what was in it comes back", async () => {
    const rig = new Rig();
    const { agent, remote } = await rig.joined();
    let received = 0;
    agent.load = async (archive) => {
      for await (const chunk of archive) received += chunk.length;
      return 7;
    };
    const archive = new Blob([new Uint8Array(3_000_000)]).stream();
    expect((await remote.volumes.write("data", archive, how)).entries).toBe(7);
    expect(received).toBe(3_000_000);
  });

  test("is not sent on when the node refuses it", async () => {
    const rig = new Rig();
    const { agent, remote } = await rig.joined();
    agent.load = () => Promise.reject(new OrchdError("invalid", "this is no archive"));
    let cancelled = false;
    const endless = new ReadableStream<Uint8Array>({
      pull: (sink) => sink.enqueue(new Uint8Array(65_536)),
      cancel: () => void (cancelled = true),
    });
    const writing = remote.volumes.write("data", endless, how);
    const error: unknown = await writing.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "invalid", message: "this is no archive" });
    expect(cancelled).toBe(true);
  });

  test("is not taken for whole when it breaks off", async () => {
    const rig = new Rig();
    const { agent, remote } = await rig.joined();
    const seen = Promise.withResolvers<unknown>();
    agent.load = async (archive) => {
      try {
        for await (const _ of archive) continue;
        seen.resolve("whole");
      } catch (error) {
        seen.reject(error);
      }
      return 0;
    };
    const broken = new ReadableStream<Uint8Array>({
      start: (sink) => sink.enqueue(bytes("half")),
      pull: (sink) => sink.error(new Error("the client left")),
    });
    const writing = remote.volumes.write("data", broken, how);
    expect(await writing.catch(String)).toContain("the client left");
    expect(await seen.promise.catch(String)).toContain("given up before its end");
  });
});

describe("other calls", () => {
  test("list and fetch images, and remove volumes", async () => {
    const rig = new Rig();
    const { agent, remote } = await rig.joined();
    expect(await remote.images()).toEqual(await agent.images());
    expect(await remote.fetchImages(["localhost/web:1"])).toEqual(["localhost/web:1"]);
    await remote.removeVolumes(["shop_data"]);
    expect(agent.asked).toEqual([["shop_data"]]);
  });

  test("have a node run another executable", async () => {
    const { agent, remote } = await new Rig().joined();
    const digest = `sha256:${"1".repeat(64)}`;
    const order = { id: "u1", version: "2.0.0", digest, sizeBytes: 100, withinMs: 60_000 };
    await remote.upgrade(order);
    expect(agent.asked).toEqual([order]);
  });

  test("measure tasks", async () => {
    const { agent, remote } = await new Rig().joined();
    const tasks = [anId<"task">("t1"), anId<"task">("t2")];
    expect(await remote.usage(tasks)).toEqual(await agent.usage(tasks));
  });

  test("fail at once on a session that has ended", async () => {
    const rig = new Rig();
    const { remote, agentLink } = await rig.joined();
    agentLink.terminate();
    await settled();
    const error: unknown = await remote.images().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "unreachable", retryable: true });
  });
});

describe("a connection to a port of a task on another machine", () => {
  test("carries bytes both ways, and each way ends by itself", async () => {
    const rig = new Rig();
    const { agent, remote } = await rig.joined();
    const there = new FakeConnection();
    agent.connection = async () => there;
    const here = await remote.forward(task, 80);
    await here.write(bytes("GET /"));
    here.end();
    await settled();
    expect([agent.asked, there.written, there.closed]).toEqual([[80], ["GET /", "(end)"], false]);
    there.sink?.enqueue(bytes("200 OK"));
    there.sink?.close();
    expect((await collect(here.input)).map(textOf)).toEqual(["200 OK"]);
    await settled();
    expect(there.closed).toBe(true);
  });

  test("is refused when nothing listens there", async () => {
    const rig = new Rig();
    const { agent, remote } = await rig.joined();
    agent.connection = () => Promise.reject(new OrchdError("unreachable", "nothing listens"));
    const error: unknown = await remote.forward(task, 80).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "unreachable", message: "nothing listens" });
  });

  test("is closed on the node when the server gives up, and when the session breaks", async () => {
    const rig = new Rig();
    const { agent, remote, agentLink } = await rig.joined();
    const [first, second] = [new FakeConnection(), new FakeConnection()];
    agent.connection = async () => first;
    (await remote.forward(task, 80)).close();
    agent.connection = async () => second;
    const here = await remote.forward(task, 80);
    await settled();
    expect([first.closed, second.closed]).toEqual([true, false]);
    agentLink.terminate();
    await settled();
    expect(second.closed).toBe(true);
    expect(await here.write(bytes("x")).catch((thrown: unknown) => thrown)).toMatchObject({
      code: "unreachable",
    });
  });
});

describe("contents of secrets", () => {
  const ref = (number: number) => ({ id: anId<"item">("pass"), number });

  test("arrive whole and byte for byte, however large, and one that is gone is told", async () => {
    const { agent, remote } = await new Rig().joined();
    const large = Uint8Array.from({ length: 1_024_000 }, (_, i) => i % 251);
    expect(await remote.lackedContents([ref(1), ref(2)])).toEqual([ref(1), ref(2)]);
    await remote.takeContent(ref(1), large);
    await remote.takeContent(ref(2), undefined);
    await remote.takeContent(ref(3), new Uint8Array([0]));
    expect(agent.contents.get(1)).toEqual(large);
    expect(agent.contents.get(2)).toBeUndefined();
    expect(agent.contents.get(3)).toEqual(new Uint8Array([0]));
    expect(await remote.lackedContents([ref(1), ref(2), ref(4)])).toEqual([ref(4)]);
  });

  test("travel in pieces of a stream, and in no text frame", async () => {
    const { remote, serverLink } = await new Rig().joined();
    await remote.takeContent(ref(1), bytes("hunter2".repeat(20_000)));
    expect(serverLink.sent.filter((text) => text.includes("hunter2"))).toEqual([]);
    const pieces = serverLink.sent.flatMap((text) => /^(\d+) bytes$/.exec(text)?.[1] ?? []);
    expect(pieces.length).toBeGreaterThan(4);
    expect(Math.max(...pieces.map(Number))).toBeLessThanOrEqual(32 * 1024 + 5);
  });

  test("that the node can't keep fail with what it says", async () => {
    const { agent, remote } = await new Rig().joined();
    agent.takeContent = async () => {
      throw new OrchdError("noSpace", "the disk is full", { retryable: true });
    };
    const taken = remote.takeContent(ref(1), bytes("x")).catch((error: unknown) => error);
    expect(await taken).toMatchObject({ code: "noSpace", message: "the disk is full" });
  });
});
