import { Client, credentials, Metadata, type ClientOptions } from "@grpc/grpc-js";
import type { ClientDuplexStream, ClientReadableStream, ServiceError } from "@grpc/grpc-js";
import { parse, type Type } from "protobufjs";
import { OrchdError } from "../../lib/errors.ts";
import { classifyFailure, noAnswer } from "./errors.ts";
import type { Method } from "./methods.ts";
import { PROTOCOL } from "./protocol.ts";

/** What orchd makes is in a namespace of its own: what others run is not even seen. */
export const NAMESPACE = "orchd";

/** Making a task takes well under a second; a busy SD card is given a minute. */
const CALL_TIMEOUT_MS = 60_000;
/** Replies that are read whole; a list of 20,000 containers is smaller. */
const REPLY_BYTES_MAX = 64 * 1024 * 1024;

const { root } = parse(PROTOCOL);
const types = new Map<string, Type>();

export interface CallOptions {
  timeoutMs?: number;
  /** What is made belongs to this lease, and is not collected while that lasts. */
  lease?: string;
  /** Gives up waiting; the call then fails as if containerd had gone. */
  signal?: AbortSignal;
}

/**
 * containerd's interface on its Unix socket. Calls share one connection; uploads have one of their
 * own, and so have events: Bun's HTTP/2 loses count of what it may send when a server changes its
 * window while streams are open, which small steps on a quiet connection never make it do.
 */
export class ContainerdGrpc {
  readonly socketPath: string;
  readonly #calls: Client;
  readonly #uploads: Client;
  readonly #events: Client;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
    this.#calls = connect(socketPath);
    this.#uploads = connect(socketPath);
    this.#events = connect(socketPath);
  }

  /**
   * One call with its answer.
   * @throws OrchdError as `classifyFailure` tells
   */
  call<T>(method: Method<T>, request: object, options: CallOptions = {}): Promise<T> {
    const { timeoutMs = CALL_TIMEOUT_MS, lease, signal } = options;
    return new Promise((resolve, reject) => {
      const onAbort = () => call.cancel();
      const call = this.#calls.makeUnaryRequest(
        method.path,
        encoderOf(method.request),
        decoderOf(method.reply),
        request,
        metadataOf(lease),
        { deadline: Date.now() + timeoutMs },
        (error, reply) => {
          signal?.removeEventListener("abort", onAbort);
          if (error !== null) return reject(classifyFailure(error, this.socketPath));
          const parsed = method.schema.safeParse(reply);
          if (parsed.success) return resolve(parsed.data);
          reject(new OrchdError("runtime", `containerd's reply to ${method.path} makes no sense`));
        },
      );
      signal?.addEventListener("abort", onAbort);
      if (signal?.aborted === true) onAbort();
    });
  }

  /** A call whose answer comes in many parts, until it is done or `signal` aborts. */
  async *stream<T>(method: Method<T>, request: object, signal?: AbortSignal): AsyncGenerator<T> {
    const client = signal === undefined ? this.#calls : this.#events;
    const reply: ClientReadableStream<object> = client.makeServerStreamRequest(
      method.path,
      encoderOf(method.request),
      decoderOf(method.reply),
      request,
      metadataOf(),
      signal === undefined ? { deadline: Date.now() + CALL_TIMEOUT_MS } : {},
    );
    const onAbort = () => reply.cancel();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      if (signal?.aborted === true) return;
      for await (const part of reply) yield method.schema.parse(part);
    } catch (error) {
      if (signal?.aborted === true) return;
      throw failureOf(error, this.socketPath);
    } finally {
      signal?.removeEventListener("abort", onAbort);
      reply.cancel();
    }
  }

  /** A conversation: each request is answered before the next one may be sent. */
  converse<T>(method: Method<T>, options: CallOptions = {}): Conversation<T> {
    const stream = this.#uploads.makeBidiStreamRequest(
      method.path,
      encoderOf(method.request),
      decoderOf(method.reply),
      metadataOf(options.lease),
      { deadline: Date.now() + (options.timeoutMs ?? CALL_TIMEOUT_MS) },
    );
    return new Conversation(stream, method, this.socketPath);
  }

  close(): void {
    for (const client of [this.#calls, this.#uploads, this.#events]) client.close();
  }
}

/** See `ContainerdGrpc.converse`. */
export class Conversation<T> {
  readonly #stream: ClientDuplexStream<object, object>;
  #waiting: { resolve: (value: T) => void; reject: (error: unknown) => void } | undefined;
  #failure: Error | undefined;

  constructor(stream: ClientDuplexStream<object, object>, method: Method<T>, socketPath: string) {
    this.#stream = stream;
    stream.on("data", (reply: object) => {
      const waiting = this.#waiting;
      this.#waiting = undefined;
      const parsed = method.schema.safeParse(reply);
      if (parsed.success) waiting?.resolve(parsed.data);
      else waiting?.reject(new OrchdError("runtime", "containerd's reply makes no sense"));
    });
    stream.on("error", (error) => this.#fail(failureOf(error, socketPath)));
    stream.on("end", () => this.#fail(noAnswer(socketPath, "the call was cut off")));
  }

  ask(request: object): Promise<T> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#stream.write(request);
    });
  }

  end(): void {
    this.#stream.end();
  }

  cancel(): void {
    this.#stream.cancel();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }
}

/** A message inside of an event. */
export function decodeMessage(type: string, bytes: Uint8Array): unknown {
  return decoderOf(type)(Buffer.from(bytes));
}

/** A message inside of a request, as `Any` by its own name. */
export function anyOf(typeUrl: string, value: unknown): { typeUrl: string; value: Uint8Array } {
  return { typeUrl, value: new TextEncoder().encode(JSON.stringify(value)) };
}

function connect(socketPath: string): Client {
  const options: ClientOptions = {
    // The default authority is the socket's path, which Go refuses.
    "grpc.default_authority": "localhost",
    "grpc.use_local_subchannel_pool": 1,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1000,
    "grpc.max_receive_message_length": REPLY_BYTES_MAX,
  };
  return new Client(`unix://${socketPath}`, credentials.createInsecure(), options);
}

function metadataOf(lease?: string): Metadata {
  const metadata = new Metadata();
  metadata.set("containerd-namespace", NAMESPACE);
  if (lease !== undefined) metadata.set("containerd-lease", lease);
  return metadata;
}

function typeOf(name: string): Type {
  const known = types.get(name);
  if (known !== undefined) return known;
  const found = root.lookupType(name);
  types.set(name, found);
  return found;
}

function encoderOf(name: string): (value: object) => Buffer {
  const type = typeOf(name);
  return (value) => Buffer.from(type.encode(type.fromObject(value)).finish());
}

function decoderOf(name: string): (bytes: Buffer) => object {
  const type = typeOf(name);
  return (bytes) => type.toObject(type.decode(bytes), { longs: Number, defaults: true });
}

function failureOf(error: unknown, socketPath: string): Error {
  if (isServiceError(error)) return classifyFailure(error, socketPath);
  return error instanceof Error ? error : new Error(String(error));
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "details" in error;
}
