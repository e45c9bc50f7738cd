import { OrchdError } from "../lib/errors.ts";
import type { Change } from "../model/change.ts";
import type { View } from "../model/view.ts";
import type { Store } from "../store/store.ts";

const TRIES_MAX = 10;

/**
 * Commits what `plan` makes of the newest view, again with a fresh view when another writer was
 * faster. Nothing is written when the plan is empty.
 * @throws OrchdError `conflict` (retryable) when others were faster every time
 */
export async function commitFresh(
  store: Store,
  plan: (view: View) => readonly Change[],
): Promise<void> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const changes = plan(store.view());
    // An empty commit writes nothing, but waits until what the plan rests on is durable.
    if ((await store.commit(changes)).ok) return;
  }
  const message = "the cluster's state changed too fast to write to it: try again";
  throw new OrchdError("conflict", message, { retryable: true });
}
