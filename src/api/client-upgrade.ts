import type { Executable, UpgradeRequest, UpgradeStatus } from "../model/upgrade.ts";
import type { Transport } from "./client-transport.ts";

/** What the API has for upgrades of orchd itself. */
export class UpgradeCalls {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The executables that the site keeps. */
  executables(): Promise<Executable[]> {
    return this.#call("GET", "/v1/executables");
  }

  /** Has the site keep an executable; answers what it is. */
  upload(executable: ReadableStream<Uint8Array>): Promise<Executable> {
    const request = { method: "POST", path: "/v1/executables", upload: executable } as const;
    return this.#transport.call(request) as Promise<Executable>;
  }

  begin(request: Partial<UpgradeRequest>): Promise<UpgradeStatus> {
    return this.#call("POST", "/v1/upgrade", request);
  }

  /** Fails with `notFound` where there was none yet. */
  status(): Promise<UpgradeStatus> {
    return this.#call("GET", "/v1/upgrade");
  }

  cancel(): Promise<UpgradeStatus> {
    return this.#call("DELETE", "/v1/upgrade");
  }

  /** How far it is: now, and at each change until it ends. */
  progress(signal: AbortSignal): AsyncGenerator<UpgradeStatus> {
    const request = { method: "GET", path: "/v1/upgrade/progress" } as const;
    // The server made each line from the same type.
    return this.#transport.stream(request, signal) as AsyncGenerator<UpgradeStatus>;
  }

  #call<T>(method: "GET" | "POST" | "DELETE", path: string, body?: unknown): Promise<T> {
    // The server made the answer from the same type.
    return this.#transport.call({ method, path, body }) as Promise<T>;
  }
}
