import type { Applied, Change } from "../model/change.ts";
import type { View } from "../model/view.ts";

export type CommitResult =
  | { ok: true; version: number }
  /** Another writer was faster: read the view again and plan anew. */
  | { ok: false; conflict: Change };

/** One durable commit, as watchers see it. */
export interface Commit {
  version: number;
  applied: readonly Applied[];
}

/** Where the whole state is kept. Implementations pass tests/conformance/store.ts. */
export interface Store {
  /** The state after the last commit. See `View` for how long it may be held. */
  view(): View;
  /**
   * Writes all of `changes` or none. Resolves once they would survive a power cut.
   * @throws OrchdError `noSpace` when the disk is full; nothing is changed then
   */
  commit(changes: readonly Change[]): Promise<CommitResult>;
  /** Calls `onCommit` after each durable commit, in order. Answers how to stop. */
  watch(onCommit: (commit: Commit) => void): () => void;
  close(): Promise<void>;
}
