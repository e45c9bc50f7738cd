import type { Command } from "commander";
import type { Event } from "../../model/event.ts";
import { connect, newRemoteCommand, printJson, usageError } from "../context.ts";
import type { Context, RemoteOptions } from "../context.ts";
import { cleanText } from "../output/clean.ts";
import { paintFor, type Color, type Paint } from "../output/color.ts";
import { parseSince } from "../output/parse-time.ts";

interface EventsOptions extends RemoteOptions {
  follow?: boolean;
  since?: string;
}

export function eventsCommand(context: Context): Command {
  return newRemoteCommand({
    name: "events",
    description: "Shows what happened lately, and with -f what happens.",
    examples: ["orchd events", "orchd events -f --since 10m"],
  })
    .option("-f, --follow", "go on with what happens, until Ctrl-C")
    .option("--since <time>", "only from then on: 10m, 2026-11-24T10:00, Unix seconds")
    .action(async (options: EventsOptions) => {
      context.exitCode = await events(context, options);
    });
}

async function events(context: Context, options: EventsOptions): Promise<number> {
  const { io } = context;
  const since = sinceOf(options.since, io.clock.now());
  const client = await connect(context, options);
  const abort = new AbortController();
  const stop = io.onInterrupt(() => abort.abort());
  const paint = paintFor(io);
  try {
    const request = { follow: options.follow === true, ...(since === undefined ? {} : { since }) };
    for await (const event of client.events(request, abort.signal)) {
      if (options.json === true) await printJson(io, event);
      else await io.stdout.write(`${formatEvent(event, paint)}\n`);
    }
  } finally {
    stop();
  }
  return abort.signal.aborted ? 130 : 0;
}

/** The moment that `--since` names; throws when it names none. */
export function sinceOf(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  const since = parseSince(text, now);
  if (since !== undefined) return since;
  throw usageError(
    `--since ${JSON.stringify(text)} names no moment: write 10m, 1h30m, 2026-11-24T10:00 ` +
      "or Unix seconds",
  );
}

function formatEvent(event: Event, paint: Paint): string {
  const message = event.message === "" ? "" : `  ${cleanText(event.message)}`;
  const cells = [
    paint("dim", new Date(event.at).toISOString()),
    event.kind.padEnd(7),
    cleanText(event.name),
    paint(colorOf(event.action), cleanText(event.action)),
  ];
  return cells.join("  ") + message;
}

function colorOf(action: string): Color {
  if (["failed", "rejected", "lost", "down", "unhealthy"].includes(action)) return "red";
  return ["running", "ready", "healthy", "complete"].includes(action) ? "green" : "cyan";
}
