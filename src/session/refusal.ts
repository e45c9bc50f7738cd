import { z } from "zod";
import { OrchdError } from "../lib/errors.ts";

/** Where a session begins: the upgrade of a request to a WebSocket. */
export const SESSION_PATH = "/v1/session";
/**
 * Where an agent whose upgrade was refused with 403 asks why, with the same certificate. The answer
 * is `refusalBody`.
 */
export const STATUS_PATH = "/v1/session/status";

/** Why an agent gets no session, and what is told to people. */
const REASONS = {
  certificateExpired: "the node's certificate is not valid now",
  removed: "the node was removed from the cluster",
} as const;
export type RefusalReason = keyof typeof REASONS;

const bodySchema = z.object({
  error: z.object({ code: z.string().max(64), message: z.string().max(4096) }),
});

/** What a server answers, as JSON: it has the shape of the API's errors. */
export function refusalBody(why: RefusalReason): string {
  return JSON.stringify({ error: { code: why, message: REASONS[why], details: [] } });
}

/** A server that is there and does not want this agent. */
export class Refusal extends OrchdError {
  /** A `RefusalReason`, or another code of the server's answer. */
  readonly why: string;

  constructor(why: string, message: string) {
    super("forbidden", message);
    this.why = why;
  }
}

/** The refusal that an answer tells; undefined for one that orchd does not give. */
export function parseRefusal(text: string): Refusal | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Not JSON: no answer of orchd.
    return undefined;
  }
  const { success, data } = bodySchema.safeParse(value);
  return success ? new Refusal(data.error.code, data.error.message) : undefined;
}
