import { connect, createServer, type Server, type Socket } from "node:net";
import type { Address } from "../../core/gossip/messages.ts";
import { canonicalHost } from "../../core/gossip/wire/address.ts";
import { StreamDecoder, type StreamOptions } from "../../core/gossip/wire/stream-decoder.ts";
import { encodeStream, type StreamMessage } from "../../core/gossip/wire/stream-message.ts";
import type { Refusal } from "../../core/gossip/wire/refusal.ts";
import type { Clock } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { GossipTraffic } from "./traffic.ts";

export interface StreamLimits {
  /** Connections at a time that others opened. */
  streamsMax: number;
  /** Of these, how many from one address, so that one can't keep out the others. */
  streamsPerHostMax: number;
  /** For a whole exchange, however steadily its bytes come. */
  streamTimeoutMs: number;
}

/** memberlist's deadline; its number of connections is 128. */
export const STREAM_LIMITS: StreamLimits = {
  streamsMax: 8,
  streamsPerHostMax: 4,
  streamTimeoutMs: 10_000,
};

export interface StreamSetting {
  clock: Clock;
  traffic: GossipTraffic;
  limits: StreamLimits;
  options: StreamOptions;
}

/** Gives the answer to a message; undefined closes the connection without one. */
export type AnswerStream = (message: StreamMessage, from: Address) => StreamMessage | undefined;

/** Takes connections; each brings one message and may get one back. */
export class StreamServer {
  readonly server: Server;
  private readonly setting: StreamSetting;
  private readonly answer: AnswerStream;
  private readonly open = new Map<Socket, string>();

  constructor(setting: StreamSetting, answer: AnswerStream) {
    this.setting = setting;
    this.answer = answer;
    // Half-open: who has said all may close that direction, and still gets its answer.
    this.server = createServer({ allowHalfOpen: true }, (socket) => this.accept(socket));
  }

  close(): void {
    this.server.close();
    for (const socket of this.open.keys()) socket.destroy();
  }

  private accept(socket: Socket): void {
    const { clock, limits, traffic, options } = this.setting;
    const host = canonicalHost(socket.remoteAddress ?? "") ?? "";
    socket.on("error", () => traffic.countStreamFailure("broken"));
    traffic.streamsIn++;
    const sameHost = [...this.open.values()].filter((other) => other === host).length;
    if (this.open.size >= limits.streamsMax || sameHost >= limits.streamsPerHostMax) {
      traffic.countStreamFailure("tooManyStreams");
      socket.destroy();
      return;
    }
    this.open.set(socket, host);
    const deadline = clock.after(limits.streamTimeoutMs, () => {
      traffic.countStreamFailure("deadline");
      socket.destroy();
    });
    socket.on("close", () => {
      deadline.cancel();
      this.open.delete(socket);
    });
    const from = { host, port: socket.remotePort ?? 0 };
    readMessage(socket, new StreamDecoder(options), traffic, (result) =>
      this.handle(socket, from, result),
    );
  }

  private handle(socket: Socket, from: Address, result: StreamMessage | Refusal): void {
    const { traffic, options } = this.setting;
    countRefused(traffic, result);
    const answer = typeof result === "string" ? errorFor(result) : this.answer(result, from);
    if (answer === undefined) {
      socket.end();
      return;
    }
    const bytes = encodeStream(answer, options.wrapping);
    traffic.streamBytesOut += bytes.length;
    socket.end(bytes);
  }
}

/** Strangers are told nothing; members why what they sent is not taken. */
function errorFor(refusal: Refusal): StreamMessage | undefined {
  const isStranger = ["badLabel", "plaintext", "undecryptable"].includes(refusal);
  return isStranger ? undefined : { type: "error", text: `not taken: ${refusal}` };
}

/**
 * Sends a message over a connection of its own and waits for the answer.
 * @throws OrchdError `unreachable`, `timedOut` or, when the answer is not taken, `invalid`
 */
export function exchangeStream(
  setting: StreamSetting,
  to: Address,
  message: StreamMessage,
  timeoutMs: number,
): Promise<StreamMessage> {
  const { clock, traffic, options } = setting;
  return new Promise((resolve, reject) => {
    const where = `${to.host} port ${to.port}/tcp`;
    const socket = connect({ host: to.host, port: to.port });
    const fail = (error: OrchdError) => {
      reject(error);
      socket.destroy();
    };
    const deadline = clock.after(timeoutMs, () => {
      traffic.countStreamFailure("deadline");
      fail(new OrchdError("timedOut", `${where} did not answer in time`, { retryable: true }));
    });
    socket.on("error", (cause) => {
      traffic.countStreamFailure("broken");
      const text = `${where} takes no gossip: is orchd running there, and the port open?`;
      fail(new OrchdError("unreachable", text, { retryable: true, cause }));
    });
    socket.on("close", () => {
      deadline.cancel();
      reject(noAnswer(where));
    });
    socket.on("connect", () => {
      const bytes = encodeStream(message, options.wrapping);
      traffic.streamsOut++;
      traffic.streamBytesOut += bytes.length;
      socket.write(bytes);
    });
    readMessage(socket, new StreamDecoder(options), traffic, (result) => {
      const answer = typeof result === "string" ? result : remoteError(result);
      countRefused(traffic, answer);
      if (typeof answer !== "string") resolve(answer);
      else fail(refusedError(where, answer, result));
      socket.destroy();
    });
  });
}

/** Counts what was not taken of it, or all of it. */
function countRefused(traffic: GossipTraffic, result: StreamMessage | Refusal): void {
  if (typeof result === "string") traffic.countRefused(result);
  else if (result.type === "pushPull") result.refused.forEach((word) => traffic.countRefused(word));
}

function remoteError(message: StreamMessage): StreamMessage | Refusal {
  return message.type === "error" ? "remoteError" : message;
}

function refusedError(
  where: string,
  refusal: Refusal,
  result: StreamMessage | Refusal,
): OrchdError {
  if (result === "truncated") return noAnswer(where);
  if (typeof result === "object" && result.type === "error") {
    return new OrchdError("invalid", `${where} refused: ${result.text.slice(0, 200)}`);
  }
  const text = ["undecryptable", "plaintext", "badLabel"].includes(refusal)
    ? `${where} belongs to another cluster: its gossip key or label is not ours`
    : `${where} answered what is no gossip (${refusal})`;
  return new OrchdError("invalid", text);
}

function noAnswer(where: string): OrchdError {
  const text = `${where} closed the connection without an answer`;
  return new OrchdError("unreachable", text, { retryable: true });
}

/** Calls back once, with the connection's message or why there is none. */
function readMessage(
  socket: Socket,
  decoder: StreamDecoder,
  traffic: GossipTraffic,
  done: (result: StreamMessage | Refusal) => void,
): void {
  let isDone = false;
  const finish = (result: StreamMessage | Refusal) => {
    if (isDone) return;
    isDone = true;
    done(result);
  };
  socket.on("data", (chunk: Buffer) => {
    // What comes after the message is nobody's.
    if (isDone) return;
    traffic.streamBytesIn += chunk.length;
    const result = decoder.feed(chunk);
    if (result !== undefined) finish(result);
  });
  socket.on("end", () => finish("truncated"));
}
