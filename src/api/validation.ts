import type { MiddlewareHandler } from "hono";
import { validator } from "hono-openapi";
import { z } from "zod";
import { jsonDepthOf } from "../lib/json-depth.ts";
import { serviceNameSchema, stackNameSchema } from "../model/names.ts";
import type { ApiContext, ApiEnv } from "./env.ts";
import { answerRefusal, detailsOf } from "./problem.ts";

/** No request of ours nests deeper than a stack's mounts; this leaves room. */
const JSON_DEPTH_MAX = 64;

export const stackParam = z.object({ stack: stackNameSchema });
export const serviceParam = z.object({ stack: stackNameSchema, service: serviceNameSchema });

/** A name in a query: its own lookup says more than a pattern could. */
export const nameText = z.string().min(1).max(255);

/** `true` or `false` in a query; absent means false. */
export const flagSchema = z
  .enum(["true", "false"])
  .optional()
  .transform((text) => text === "true");

/** A whole number in a query. */
export const countSchema = z
  .string()
  .regex(/^\d{1,15}$/, "is not a whole number")
  .transform(Number);

type Hooked = { success: true } | { success: false; error: Parameters<typeof detailsOf>[0] };

/** Answers every problem of the input at once, each with its place and none with its value. */
function refuseInvalid(what: string) {
  return (result: Hooked, c: ApiContext): Response | undefined => {
    if (result.success) return undefined;
    return answerRefusal(c, 400, "invalid", `${what} is not valid`, detailsOf(result.error));
  };
}

export function validParam<Schema extends z.ZodType>(schema: Schema) {
  return validator<Schema, "param", ApiEnv, string>("param", schema, refuseInvalid("the path"));
}

export function validQuery<Schema extends z.ZodType>(schema: Schema) {
  return validator<Schema, "query", ApiEnv, string>("query", schema, refuseInvalid("the query"));
}

/** Use after `plainJson`. */
export function validJson<Schema extends z.ZodType>(schema: Schema) {
  return validator<Schema, "json", ApiEnv, string>("json", schema, refuseInvalid("the body"));
}

/** Refuses a body that is no JSON, nests absurdly, or has a key that JavaScript treats apart. */
export const plainJson: MiddlewareHandler<ApiEnv> = async (c, next) => {
  const type = c.req.header("content-type") ?? "";
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    return answerRefusal(c, 400, "invalid", "the body must be application/json");
  }
  const text = await c.req.text();
  const problem = problemInJson(text);
  return problem === undefined ? next() : answerRefusal(c, 400, "invalid", problem);
};

function problemInJson(text: string): string | undefined {
  if (jsonDepthOf(text) > JSON_DEPTH_MAX) {
    return `the body is nested deeper than ${JSON_DEPTH_MAX} levels`;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message would repeat a piece of the body.
    return "the body is not valid JSON";
  }
  return hasKey(value, "__proto__") ? "the body has a key __proto__" : undefined;
}

function hasKey(value: unknown, key: string): boolean {
  if (typeof value !== "object" || value === null) return false;
  return Object.hasOwn(value, key) || Object.values(value).some((item) => hasKey(item, key));
}
