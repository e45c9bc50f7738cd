import { randomUUID } from "node:crypto";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Blob, Draft } from "./blob-store.ts";
import type { ImageStore } from "./image-store.ts";
import { RegistryError } from "./registry-error.ts";

const UPLOADS_MAX = 64;
/** An upload that nobody goes on with makes room. */
const IDLE_MS = 1_800_000;

interface Upload {
  draft: Draft;
  repository: string;
  /** Somebody writes to it now. */
  isBusy: boolean;
  timer: Timer;
}

/** Uploads of blobs that are under way: they end with the process, and a client begins anew. */
export class Uploads {
  readonly #store: ImageStore;
  readonly #clock: Clock;
  readonly #uploads = new Map<string, Upload>();

  constructor(store: ImageStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Answers the id of a new upload. */
  async begin(repository: string): Promise<string> {
    if (this.#uploads.size >= UPLOADS_MAX) {
      throw new RegistryError("DENIED", "too many uploads are under way: try again later");
    }
    const draft = await this.#store.blobs.draft();
    const id = randomUUID();
    const timer = this.#idle(id);
    this.#uploads.set(id, { draft, repository, isBusy: false, timer });
    return id;
  }

  /** How many bytes of it are there. */
  bytesOf(repository: string, id: string): number {
    return this.#find(repository, id).draft.bytes;
  }

  /**
   * Writes the next bytes of an upload. What came before a connection broke counts.
   * @param start where they begin, if that was said
   * @returns how many bytes are there
   */
  async append(
    repository: string,
    id: string,
    body: AsyncIterable<Uint8Array> | null,
    start: number | undefined,
  ): Promise<number> {
    const upload = this.#take(repository, id);
    try {
      const { draft } = upload;
      if (start !== undefined && start !== draft.bytes) {
        throw new RegistryError("RANGE_INVALID", `the upload goes on at byte ${draft.bytes}`, {
          range: `0-${Math.max(0, draft.bytes - 1)}`,
        });
      }
      for await (const bytes of body ?? []) await draft.write(bytes);
      return draft.bytes;
    } finally {
      upload.isBusy = false;
      upload.timer = this.#idle(id);
    }
  }

  /** Ends an upload: it is a blob from now on, if it is what was said. */
  async finish(repository: string, id: string, digest: string): Promise<Blob> {
    const { draft, timer } = this.#take(repository, id);
    timer.cancel();
    this.#uploads.delete(id);
    try {
      return await this.#store.commit(draft, digest);
    } finally {
      await draft.discard();
    }
  }

  async cancel(repository: string, id: string): Promise<void> {
    const { draft, timer } = this.#take(repository, id);
    timer.cancel();
    this.#uploads.delete(id);
    await draft.discard();
  }

  async close(): Promise<void> {
    for (const { draft, timer } of this.#uploads.values()) {
      timer.cancel();
      await draft.discard();
    }
    this.#uploads.clear();
  }

  #find(repository: string, id: string): Upload {
    const upload = this.#uploads.get(id);
    if (upload?.repository === repository) return upload;
    throw new RegistryError("BLOB_UPLOAD_UNKNOWN", "there is no such upload: begin a new one");
  }

  /** One request at a time writes to an upload. */
  #take(repository: string, id: string): Upload {
    const upload = this.#find(repository, id);
    if (upload.isBusy) {
      throw new RegistryError("BLOB_UPLOAD_INVALID", "another request writes to the upload now");
    }
    upload.isBusy = true;
    upload.timer.cancel();
    return upload;
  }

  #idle(id: string): Timer {
    return this.#clock.after(IDLE_MS, () => {
      const upload = this.#uploads.get(id);
      this.#uploads.delete(id);
      void upload?.draft.discard();
    });
  }
}
