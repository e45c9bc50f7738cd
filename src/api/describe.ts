import { describeRoute, resolver } from "hono-openapi";
import type { z } from "zod";
import { problemSchema } from "../model/summary.ts";

interface Description {
  summary: string;
  /** The answer's shape; absent means that there is none. */
  answer?: z.ZodType;
  /** `stream` answers one JSON value a line, for as long as it goes on; `bytes` an archive. */
  as?: "json" | "stream" | "bytes";
  status?: number;
  body?: { media: string; description: string };
}

const DONE = { json: "Done.", stream: "One JSON value a line.", bytes: "An archive." };
const BYTES = {
  content: {
    "application/octet-stream": { schema: { type: "string" as const, format: "binary" } },
  },
};

/** What the OpenAPI description says of a route; computed when somebody asks for it. */
export function describe(route: Description) {
  const { summary, answer, as = "json", status = 200, body } = route;
  const media = as === "json" ? "application/json" : "application/x-ndjson";
  const good = answer === undefined ? {} : { content: { [media]: { schema: schemaOf(answer) } } };
  return describeRoute({
    summary,
    responses: {
      [status]: { description: DONE[as], ...(as === "bytes" ? BYTES : good) },
      default: {
        description: "Refused or failed: one sentence that says why, with details.",
        content: { "application/json": { schema: schemaOf(problemSchema) } },
      },
    },
    ...(body === undefined ? {} : { requestBody: requestBodyOf(body) }),
  });
}

/** As it travels, which is before a schema's transforms. */
function schemaOf(schema: z.ZodType) {
  return resolver(schema, { io: "input" });
}

function requestBodyOf({ media, description }: { media: string; description: string }) {
  const schema = { type: "string" as const, format: "binary" };
  return { description, required: true, content: { [media]: { schema } } };
}
