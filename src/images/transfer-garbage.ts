const EVERY_BYTES = 16 * 1024 * 1024;
/** To look through a larger heap would hold up everything else; there these buffers are little. */
const HEAP_BYTES_MAX = 96 * 1024 * 1024;

/**
 * Sees to it that what transfers leave behind goes soon. Each piece is a buffer beside the heap
 * that is garbage once it is written; the collector goes by the heap, which does not grow
 * meanwhile, and came for them only when there were many: a process that fetched four layers at
 * once grew by 66 MiB, and with this by 44.
 */
export class TransferGarbage {
  #bytes = 0;

  /** So much more has passed by. */
  note(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < EVERY_BYTES) return;
    this.#bytes = 0;
    if (process.memoryUsage().heapUsed <= HEAP_BYTES_MAX) Bun.gc(true);
  }
}
