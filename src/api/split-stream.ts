/** One reader's copy of a stream. */
export interface Copy {
  readonly stream: ReadableStream<Uint8Array>;
  /** This reader has given up, whether it told the stream so or not: the others wait no more. */
  release(): void;
}

/**
 * Copies of one stream that all go at the pace of the slowest reader, so that nothing piles up in
 * memory. When every reader has given up the source is cancelled.
 */
export function splitStream(source: ReadableStream<Uint8Array>, copies: number): Copy[] {
  const reader = source.getReader();
  let reading = false;

  const advance = (): void => {
    const open = outlets.filter((outlet) => outlet.isOpen);
    if (open.length === 0) {
      // Nobody is left who could be told of a failure to cancel.
      reader.cancel().catch(() => {});
      return;
    }
    if (reading || !open.every((outlet) => outlet.wantsMore)) return;
    reading = true;
    reader.read().then(
      ({ done, value }) => {
        reading = false;
        for (const outlet of outlets) {
          if (done) outlet.close();
          else outlet.push(value);
        }
        if (!done) advance();
      },
      (error: unknown) => outlets.forEach((outlet) => outlet.fail(error)),
    );
  };
  const outlets = Array.from({ length: copies }, () => new Outlet(advance));
  return outlets;
}

class Outlet implements Copy {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #onChange: () => void;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #isOpen = true;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => void (this.#controller = controller),
        pull: () => onChange(),
        cancel: () => this.release(),
      },
      { highWaterMark: 1 },
    );
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get wantsMore(): boolean {
    return (this.#controller?.desiredSize ?? 0) > 0;
  }

  release(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#onChange();
  }

  push(chunk: Uint8Array): void {
    if (this.#isOpen) this.#controller?.enqueue(chunk);
  }

  close(): void {
    if (this.#isOpen) this.#controller?.close();
    this.#isOpen = false;
  }

  fail(error: unknown): void {
    if (this.#isOpen) this.#controller?.error(error);
    this.#isOpen = false;
  }
}
