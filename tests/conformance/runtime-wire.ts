import { rmSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";

/** The way between a driver and its runtime, and what the world does to it. */
export interface Wire {
  /** Nothing is reached any more, and what was under way is broken off. */
  cut(): Promise<void>;
  mend(): Promise<void>;
  /** Nothing comes through any more, in silence, until it is let go on. */
  hold(): void;
  release(): void;
  /** Whether something waits to come through. */
  readonly holds: boolean;
  /** Of the calls from now on the nth is done, and its connection breaks instead of an answer. */
  loseAnswer(nth: number): void;
  /** Whether that has happened. */
  readonly hasLost: boolean;
}

/** Finds calls, and the beginnings of answers, in what passes. */
interface Reader {
  /** What comes from the driver; answers the calls that begin in it. */
  asked(bytes: Buffer): number[];
  /** What comes from the runtime; answers the calls whose answers begin in it. */
  answered(bytes: Buffer): number[];
}

export type Protocol = "http" | "grpc";

/** A socket of its own that leads to a runtime's. */
export class SocketWire implements Wire {
  readonly path: string;
  readonly #target: string;
  readonly #protocol: Protocol;
  readonly #open = new Set<Socket>();
  #server: Server | undefined;
  #isHeld = false;
  #held: (() => void)[] = [];
  #toLose = 0;

  private constructor(path: string, target: string, protocol: Protocol) {
    this.path = path;
    this.#target = target;
    this.#protocol = protocol;
  }

  static async lay(path: string, target: string, protocol: Protocol): Promise<SocketWire> {
    const wire = new SocketWire(path, target, protocol);
    await wire.mend();
    return wire;
  }

  async mend(): Promise<void> {
    rmSync(this.path, { force: true });
    const server = createServer((near) => this.#connect(near));
    this.#server = server;
    await new Promise<void>((resolve) => void server.listen(this.path, resolve));
  }

  async cut(): Promise<void> {
    const server = this.#server;
    const closed = new Promise((resolve) => server?.close(resolve));
    for (const socket of this.#open) socket.destroy();
    await closed;
  }

  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    for (const pass of this.#held.splice(0)) pass();
  }

  get holds(): boolean {
    return this.#held.length > 0;
  }

  loseAnswer(nth: number): void {
    this.#toLose = nth;
  }

  get hasLost(): boolean {
    return this.#toLose === 0;
  }

  #connect(near: Socket): void {
    const far = createConnection(this.#target);
    const ends = [near, far];
    const reader = this.#protocol === "http" ? readHttp() : readGrpc();
    let lost: number | undefined;
    const breakOff = () => ends.forEach((end) => end.destroy());
    for (const end of ends) {
      this.#open.add(end);
      end.on("error", breakOff);
      end.on("close", () => {
        this.#open.delete(end);
        breakOff();
      });
    }
    near.on("data", (bytes: Buffer) => {
      for (const call of reader.asked(bytes)) {
        if (this.#toLose > 0 && --this.#toLose === 0) lost = call;
      }
      this.#pass(() => far.write(bytes));
    });
    far.on("data", (bytes: Buffer) => {
      if (lost !== undefined && reader.answered(bytes).includes(lost)) breakOff();
      else this.#pass(() => near.write(bytes));
    });
  }

  #pass(write: () => void): void {
    if (this.#isHeld) this.#held.push(write);
    else write();
  }
}

/** One call at a time on a connection, each of which begins with its method. */
function readHttp(): Reader {
  return {
    asked: (bytes) => (/^(?:GET|POST|DELETE) /.test(bytes.toString("latin1", 0, 8)) ? [1] : []),
    answered: () => [1],
  };
}

const PREFACE_BYTES = 24;
const FRAME_HEAD_BYTES = 9;
const HEADERS = 1;

/** HTTP/2 (RFC 9113, section 4): the first HEADERS of a stream is a call, or its answer's begin. */
function readGrpc(): Reader {
  const asked = headersOf(PREFACE_BYTES);
  const answered = headersOf(0);
  return { asked, answered };
}

/** Streams of the HEADERS frames in what it is given, piece by piece, after so many first bytes. */
function headersOf(skipped: number): (bytes: Buffer) => number[] {
  let left = Buffer.alloc(0);
  let toSkip = skipped;
  return (bytes) => {
    left = Buffer.concat([left, bytes]);
    const found: number[] = [];
    for (;;) {
      if (left.length < toSkip + FRAME_HEAD_BYTES) return found;
      left = left.subarray(toSkip);
      if (left[3] === HEADERS) found.push(left.readUInt32BE(5));
      toSkip = FRAME_HEAD_BYTES + left.readUIntBE(0, 3);
    }
  };
}
