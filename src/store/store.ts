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
  /**
   * The state after the last commit, one that is not yet durable included: plan on it, but tell
   * nobody outside of it before `commit` resolves or `watch` calls. See `View` for how long it may
   * be held.
   */
  view(): View;
  /**
   * Writes all of `changes` or none. The view has them when the call returns; the promise resolves
   * once they would survive a power cut. Commits of one turn may build upon each other: an object's
   * version is then that of the earlier commit in the view. A commit of nothing resolves once all
   * that the view holds at the call is durable.
   * @throws OrchdError `noSpace` when the disk is full, `internal` when it fails or when a value is
   * not what its schema says; the view is then as if the commit, and all that it came together
   * with, had never been
   */
  commit(changes: readonly Change[]): Promise<CommitResult>;
  /**
   * Calls `onCommit` after each durable commit, in order. The view may be further along by then.
   * Answers how to stop.
   */
  watch(onCommit: (commit: Commit) => void): () => void;
  close(): Promise<void>;
}
