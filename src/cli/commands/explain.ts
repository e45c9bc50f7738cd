import type { Command } from "commander";
import { formatDuration } from "../../lib/text.ts";
import type { Explanation } from "../../model/summary.ts";
import { connect, newRemoteCommand, printJson, printLines } from "../context.ts";
import type { Context, RemoteOptions } from "../context.ts";
import { cleanText } from "../output/clean.ts";
import { paintFor, type Paint } from "../output/color.ts";
import { formatTable } from "../output/table.ts";

export function explainCommand(context: Context): Command {
  const { io } = context;
  return newRemoteCommand({
    name: "explain",
    description: "Tells why a task, service or node is in its state, and what happens next.",
    examples: ["orchd explain shop/web", "orchd explain shop/web.1"],
  })
    .argument("<target>", "a task, service or node")
    .action(async (target: string, options: RemoteOptions) => {
      const client = await connect(context, options);
      const explanation = await client.explain(target);
      if (options.json === true) await printJson(io, explanation);
      else await printLines(io, formatExplanation(explanation, io.clock.now(), paintFor(io)));
    });
}

/** @param now milliseconds since 1970 */
function formatExplanation(explanation: Explanation, now: number, paint: Paint): string[] {
  const { kind, name, summary, facts, placement, history, next } = explanation;
  const lines = [`${paint("bold", cleanText(`${kind} ${name}`))}: ${cleanText(summary)}`];
  const section = (title: string, body: string[]) => {
    if (body.length > 0) lines.push("", paint("bold", title), ...body.map((line) => `  ${line}`));
  };
  const width = Math.max(0, ...facts.map(({ label }) => Bun.stringWidth(cleanText(label))));
  const factLines = facts.map(({ label, value }) => {
    const shown = cleanText(label);
    return `${shown}${" ".repeat(width - Bun.stringWidth(shown))}  ${cleanText(value)}`;
  });
  section("Facts", factLines);
  section("Placement", placement.length === 0 ? [] : placementLines(placement, paint));
  section("History", history.length === 0 ? [] : historyLines(history, now, paint));
  if (next !== "") section("Next", [cleanText(next)]);
  return lines;
}

function placementLines(placement: Explanation["placement"], paint: Paint): string[] {
  return formatTable(
    [
      { title: "NODE", cell: (row) => row.node },
      {
        title: "FITS",
        cell: (row) => (row.fits ? "yes" : "no"),
        color: (row) => (row.fits ? "green" : "red"),
      },
      { title: "REASON", cell: (row) => row.reason },
    ],
    placement,
    paint,
  );
}

function historyLines(history: Explanation["history"], now: number, paint: Paint): string[] {
  return formatTable(
    [
      { title: "WHEN", cell: (row) => `${formatDuration(now - row.at)} ago` },
      { title: "TASK", cell: (row) => row.name },
      { title: "STATE", cell: (row) => row.state },
      { title: "REASON", cell: (row) => row.message },
    ],
    history,
    paint,
  );
}
