import type { Admission } from "./env.ts";
import type { OrchdError } from "../lib/errors.ts";
import type { ApiSocket, ApiWebSocket } from "./api-socket.ts";

/**
 * The same, but no longer than the caller is let in.
 * @throws OrchdError `unauthorized` at the end of that; `work` goes on, and nobody hears of it
 */
export async function whileAdmitted<T>(
  admission: Admission | undefined,
  work: Promise<T>,
): Promise<T> {
  if (admission === undefined) return work;
  const ended = Promise.withResolvers<never>();
  // Told to whoever waits for the work.
  work.catch(() => {});
  const stop = admission.onEnd(ended.reject);
  return Promise.race([work, ended.promise]).finally(stop);
}

/** A WebSocket that ends with the token that opened it, and says so last. */
export class AdmittedSocket implements ApiSocket {
  readonly #inner: ApiSocket;
  readonly #admission: Admission;
  #stop = () => {};
  #ended = false;

  constructor(inner: ApiSocket, admission: Admission) {
    this.#inner = inner;
    this.#admission = admission;
  }

  onOpen(ws: ApiWebSocket): void {
    this.#inner.onOpen(ws);
    this.#stop = this.#admission.onEnd((why) => this.#end(ws, why));
  }

  onMessage(message: string | Uint8Array): void {
    if (!this.#ended) this.#inner.onMessage(message);
  }

  onDrain(): void {
    this.#inner.onDrain();
  }

  onClose(): void {
    this.#stop();
    if (!this.#ended) this.#inner.onClose();
  }

  #end(ws: ApiWebSocket, { code, message }: OrchdError): void {
    this.#ended = true;
    ws.send(JSON.stringify({ type: "error", code, message }));
    ws.close(1000);
    this.#inner.onClose();
  }
}
