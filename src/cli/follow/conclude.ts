import type { ServiceSummary } from "../../model/summary.ts";
import { formatDuration } from "../../lib/text.ts";
import type { Context } from "../context.ts";
import { printLines } from "../context.ts";
import { cleanText } from "../output/clean.ts";
import { paintFor } from "../output/color.ts";
import { formatAddress } from "../output/ports.ts";
import type { Outcome } from "./follow.ts";
import { isHeldUp } from "./held-up.ts";

/** What to say at the end of a command that waited. */
export interface Conclusion {
  /** What was waited for: `stack shop`. */
  title: string;
  /** `converged` or `is removed`: what it did when it is done. */
  done: string;
  timeoutMs: number;
  /** A command that shows where it is now: `orchd ps shop`. */
  look: string;
  json: boolean;
}

/** How a command that waited ends. */
export const EXIT_CODES: Record<Outcome["type"], number> = {
  done: 0,
  waiting: 0,
  stuck: 1,
  gone: 1,
  timedOut: 4,
  detached: 130,
};

/** Tells a person how it ended; answers the exit code. */
export async function conclude(
  { io }: Context,
  outcome: Outcome,
  conclusion: Conclusion,
): Promise<number> {
  const { title, done, look } = conclusion;
  const paint = paintFor(io, io.stderr);
  if (outcome.type === "done") {
    if (!conclusion.json) {
      await printLines(io, [`${cleanText(title)} ${done}`, ...addressLines(outcome.services)]);
    }
    return EXIT_CODES.done;
  }
  const lines = tell(outcome, conclusion);
  const [first = "", ...rest] = lines.map(cleanText);
  const color = outcome.type === "detached" ? "dim" : "red";
  const isTold = outcome.type === "waiting" && !conclusion.json;
  if (isTold) await printLines(io, [first, hintOf(look)]);
  if (outcome.type === "waiting") return EXIT_CODES.waiting;
  await io.stderr.write(`${[paint(color, first), ...rest, hintOf(look)].join("\n")}\n`);
  return EXIT_CODES[outcome.type];
}

function hintOf(look: string): string {
  return `See \`${look}\`.`;
}

function tell(outcome: Exclude<Outcome, { type: "done" }>, conclusion: Conclusion): string[] {
  const { title, timeoutMs } = conclusion;
  switch (outcome.type) {
    case "stuck": {
      const { job } = outcome.service;
      const name = `${outcome.service.stack}/${outcome.service.name}`;
      if (isHeldUp(outcome.service))
        return [`${name}: ${outcome.reason}`, adviceOf(outcome.service)];
      if (job?.runs[0]?.result === "failed") {
        const look = `Why: \`orchd explain ${name}\`; output: \`orchd job logs ${name}\`.`;
        return [`${name} failed: ${outcome.reason}`, look];
      }
      return [
        `${name} does not start: ${outcome.reason}`,
        `orchd goes on trying. Why: \`orchd explain ${name}\`; output: \`orchd logs ${name}\`.`,
      ];
    }
    case "waiting":
      return [`${outcome.service.stack}/${outcome.service.name} waits: ${outcome.reason}`];
    case "gone":
      return [`${title} was removed meanwhile`];
    case "timedOut":
      return [`${title} did not get there within ${formatDuration(timeoutMs)}; it goes on`];
    case "detached":
      return [`No longer watching ${title}; it goes on`];
  }
}

/** What a person can do about a rollout that failed. */
function adviceOf({ stack, name, rollout }: ServiceSummary): string {
  const service = `${stack}/${name}`;
  if (rollout?.state !== "paused") return `Why: \`orchd explain ${service}\`.`;
  return `\`orchd rollout resume ${service}\` goes on, \`orchd rollout undo ${service}\` back.`;
}

function addressLines(services: readonly ServiceSummary[]): string[] {
  return services.flatMap(({ stack, name, ports, urls = [], wanted }) => {
    if (wanted === 0) return [];
    const published = ports.filter((port) => port.published !== 0).map(formatAddress);
    const places = [...published, ...urls];
    return places.map((place) => cleanText(`${stack}/${name} answers on ${place}`));
  });
}
