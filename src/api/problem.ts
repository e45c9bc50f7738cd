import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { z } from "zod";
import {
  type ErrorCode,
  httpStatusOf,
  messageChainOf,
  messageOf,
  OrchdError,
} from "../lib/errors.ts";
import { escapeControl, type Log } from "../lib/log.ts";
import type { problemSchema } from "../model/summary.ts";

export type Problem = z.infer<typeof problemSchema>;

const DETAILS_MAX = 50;
const DETAIL_LENGTH_MAX = 300;

/** What is answered for anything thrown: our errors as they are, others without their inside. */
export function problemOf(error: unknown, log: Log): { status: number; body: Problem } {
  if (error instanceof OrchdError) {
    const details = error.cause === undefined ? [] : [messageChainOf(error.cause)];
    return { status: httpStatusOf(error.code), body: bodyOf(error.code, error.message, details) };
  }
  if (error instanceof HTTPException && error.status < 500) {
    const code = error.status === 413 ? "tooLarge" : "invalid";
    return { status: error.status, body: bodyOf(code, messageOf(error), []) };
  }
  log.error(`a request failed unexpectedly: ${messageChainOf(error)}`);
  const message = "orchd failed unexpectedly: the log of the server says why";
  return { status: httpStatusOf("internal"), body: bodyOf("internal", message, []) };
}

export function answerProblem(c: Context, error: unknown, log: Log): Response {
  const { status, body } = problemOf(error, log);
  // The table of codes holds statuses with a body only.
  return c.json(body, status as ContentfulStatusCode);
}

/** A refusal by the HTTP layer itself, before any handler. */
export function answerRefusal(
  c: Context,
  status: ContentfulStatusCode,
  code: ErrorCode,
  message: string,
  details: readonly string[] = [],
): Response {
  return c.json(bodyOf(code, message, details), status);
}

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** For each issue where it is and what is wrong there; the value itself is never repeated. */
export function detailsOf(issues: readonly Issue[]): string[] {
  return issues.map(({ path = [], message }) => {
    const keys = path.map((part) => String(typeof part === "object" ? part.key : part));
    return keys.length === 0 ? message : `${keys.join(".")}: ${message}`;
  });
}

function bodyOf(code: ErrorCode, message: string, details: readonly string[]): Problem {
  const shown = details.slice(0, DETAILS_MAX);
  const more = details.length - shown.length;
  if (more > 0) shown.push(`and ${more} more`);
  return { error: { code, message, details: shown.map(bounded) } };
}

function bounded(text: string): string {
  const plain = escapeControl(text);
  return plain.length > DETAIL_LENGTH_MAX ? `${plain.slice(0, DETAIL_LENGTH_MAX - 1)}…` : plain;
}
