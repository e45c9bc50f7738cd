import { OrchdError } from "../../lib/errors.ts";
import { isCode } from "./errors.ts";
import type { ContainerdGrpc } from "./grpc.ts";
import { METHODS } from "./methods.ts";

/** `WriteAction` of containerd's content.proto. */
const WRITE = 1;
const COMMIT = 2;
/** Larger steps make containerd widen its window, of which Bun's HTTP/2 loses count. */
const STEP_BYTES = 32 * 1024;
/** A layer of some gigabytes onto an SD card. */
const UPLOAD_TIMEOUT_MS = 3_600_000;
/** Manifests and configurations; no real one is larger. */
export const DOCUMENT_BYTES_MAX = 4 * 1024 * 1024;

export interface Blob {
  digest: string;
  size: number;
}

export interface WriteOptions {
  lease: string;
  labels?: Record<string, string>;
  /** Its digest, where it is known: what has another one is refused. */
  expected?: string;
}

/** containerd's store of content, which goes by digest. */
export class ContentStore {
  readonly #grpc: ContainerdGrpc;
  #uploads = 0;
  /** One upload at a time keeps its connection quiet. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(grpc: ContainerdGrpc) {
    this.#grpc = grpc;
  }

  /** @throws OrchdError `notFound` */
  async read(digest: string): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for await (const { data } of this.#grpc.stream(METHODS.readContent, { digest })) {
      parts.push(data);
      bytes += data.length;
      if (bytes > DOCUMENT_BYTES_MAX) {
        throw new OrchdError("invalid", `the image's ${digest} is far larger than it may be`);
      }
    }
    return Buffer.concat(parts);
  }

  /** Whether it is there; with these labels then. */
  async has(digest: string, labels: Record<string, string> = {}): Promise<boolean> {
    try {
      await this.#grpc.call(METHODS.contentInfo, { digest });
    } catch (error) {
      if (isCode(error, "notFound")) return false;
      throw error;
    }
    await this.#label(digest, labels);
    return true;
  }

  /** Takes content in, whatever its length. Answers its digest. */
  write(content: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<Blob> {
    const turn = this.#last.then(() => this.#write(content, options));
    this.#last = turn.catch(() => {
      // Told to whoever wrote it; the next one has its turn all the same.
    });
    return turn;
  }

  /** The same for what is in memory. */
  writeBytes(bytes: Uint8Array, options: WriteOptions): Promise<Blob> {
    return this.write(once(bytes), { expected: digestOf(bytes), ...options });
  }

  async #write(content: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<Blob> {
    const { lease, labels = {}, expected = "" } = options;
    const ref = `orchd-${process.pid}-${Date.now()}-${(this.#uploads += 1)}`;
    const timeoutMs = UPLOAD_TIMEOUT_MS;
    const upload = this.#grpc.converse(METHODS.writeContent, { lease, timeoutMs });
    const hasher = new Bun.CryptoHasher("sha256");
    let offset = 0;
    try {
      await upload.ask({ action: WRITE, ref, offset: 0 });
      for await (const step of stepsOf(content)) {
        hasher.update(step);
        await upload.ask({ action: WRITE, ref, offset, data: step });
        offset += step.length;
      }
      const digest = `sha256:${hasher.digest("hex")}`;
      if (expected !== "" && digest !== expected) {
        throw new OrchdError("invalid", `content that was to be ${expected} is ${digest}`);
      }
      await this.#commit(upload, { ref, offset, digest, labels });
      upload.end();
      return { digest, size: offset };
    } catch (error) {
      upload.cancel();
      await this.#grpc.call(METHODS.abortContent, { ref }).catch(() => {
        // It was never begun, or containerd is away: what is left of it goes with time.
      });
      throw error;
    }
  }

  async #commit(
    upload: { ask(request: object): Promise<unknown> },
    given: { ref: string; offset: number; digest: string; labels: Record<string, string> },
  ): Promise<void> {
    const { ref, offset, digest, labels } = given;
    try {
      const commit = { action: COMMIT, ref, offset, total: offset, expected: digest, labels };
      await upload.ask(commit);
    } catch (error) {
      // The very same content is there already.
      if (!isCode(error, "conflict")) throw error;
      await this.#label(digest, labels);
    }
  }

  async #label(digest: string, labels: Record<string, string>): Promise<void> {
    const paths = Object.keys(labels).map((name) => `labels.${name}`);
    if (paths.length === 0) return;
    await this.#grpc.call(METHODS.updateContent, {
      info: { digest, labels },
      updateMask: { paths },
    });
  }
}

export function digestOf(bytes: Uint8Array | string): string {
  return `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
}

/** The same bytes in larger pieces, or smaller ones; each lasts until the next is asked for. */
async function* stepsOf(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const held = new Uint8Array(STEP_BYTES);
  let length = 0;
  for await (const piece of content) {
    for (let at = 0; at < piece.length;) {
      const part = piece.subarray(at, at + STEP_BYTES - length);
      held.set(part, length);
      length += part.length;
      at += part.length;
      if (length < STEP_BYTES) continue;
      yield held;
      length = 0;
    }
  }
  if (length > 0) yield held.subarray(0, length);
}

// oxlint-disable-next-line typescript/require-await -- a stream of one piece waits for nothing
async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
