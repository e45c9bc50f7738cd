import type { ApiClient } from "../api/client.ts";
import type { Event } from "../model/event.ts";
import { connect, printJson, printLines, usageError } from "./context.ts";
import type { Context, RemoteOptions } from "./context.ts";
import { paintFor } from "./output/color.ts";
import { LiveLines } from "./output/live.ts";
import { formatTable, type Column } from "./output/table.ts";

export interface ListOptions extends RemoteOptions {
  watch?: boolean;
}

/** A listing: what to ask for and how to show it. */
export interface Listing<Row> {
  fetch(client: ApiClient): Promise<readonly Row[]>;
  /** @param now milliseconds since 1970 */
  columns(now: number): readonly Column<Row>[];
  /** Told when there is nothing to list. */
  empty: string;
}

export const WATCH_FLAG = ["-w, --watch", "show it again at each change, until Ctrl-C"] as const;

/** Events that come together are shown together. */
const GATHER_MS = 150;
/** Ages grow without any event. */
const AGE_MS = 10_000;

/** Prints a listing once, or again at each event of the cluster; answers the exit code. */
export async function showList<Row>(
  context: Context,
  listing: Listing<Row>,
  options: ListOptions,
): Promise<number> {
  const { io } = context;
  const client = await connect(context, options);
  if (options.watch === true) return watchList(context, client, listing, options);
  const rows = await listing.fetch(client);
  if (options.json === true) await printJson(io, rows);
  else if (rows.length === 0) await io.stderr.write(`${listing.empty}\n`);
  else await printLines(io, formatTable(listing.columns(io.clock.now()), rows, paintFor(io)));
  return 0;
}

async function watchList<Row>(
  { io }: Context,
  client: ApiClient,
  listing: Listing<Row>,
  { json }: ListOptions,
): Promise<number> {
  if (json !== true && !io.stdout.isTerminal) {
    throw usageError("--watch draws on a terminal, and this is none: add --json, or leave it out");
  }
  const live = new LiveLines(io.stdout);
  const abort = new AbortController();
  const stop = io.onInterrupt(() => abort.abort());
  let rows: readonly Row[] = [];
  const draw = () => {
    const table = formatTable(listing.columns(io.clock.now()), rows, paintFor(io));
    return live.draw(rows.length === 0 ? [listing.empty] : table);
  };
  const stopResize = json === true ? () => {} : io.onResize(() => void draw());
  try {
    const events = client.events({ follow: true }, abort.signal);
    const ageMs = json === true ? undefined : AGE_MS;
    for await (const reason of changes(io, events, abort.signal, ageMs)) {
      if (reason === "change") rows = await listing.fetch(client);
      if (json !== true) await draw();
      else if (reason === "change") await printJson(io, rows);
    }
  } finally {
    stop();
    stopResize();
    abort.abort();
    if (json !== true) await live.end();
  }
  return 130;
}

/** When to look again: at once, soon after events, and when ages have grown. */
async function* changes(
  { clock }: Context["io"],
  events: AsyncGenerator<Event>,
  signal: AbortSignal,
  ageMs: number | undefined,
): AsyncGenerator<"change" | "age"> {
  let pending = events.next();
  yield "change";
  while (!signal.aborted) {
    const first = await raceDelay(clock, pending, ageMs);
    if (first === "late") {
      yield "age";
      continue;
    }
    if (first.done === true) return;
    pending = events.next();
    for (;;) {
      const more = await raceDelay(clock, pending, GATHER_MS);
      if (more === "late") break;
      if (more.done === true) return;
      pending = events.next();
    }
    yield "change";
  }
}

async function raceDelay<T>(
  clock: Context["io"]["clock"],
  promise: Promise<T>,
  delayMs: number | undefined,
): Promise<T | "late"> {
  if (delayMs === undefined) return promise;
  const late = Promise.withResolvers<"late">();
  const timer = clock.after(delayMs, () => late.resolve("late"));
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    timer.cancel();
  }
}
