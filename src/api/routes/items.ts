import { Hono } from "hono";
import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import { findItem } from "../../core/reconcile/items.ts";
import {
  itemRequestSchema,
  itemSummarySchema,
  itemUpdateResultSchema,
  itemUpdateSchema,
  uploadIdSchema,
  type ItemKind,
  type ItemSummary,
} from "../../model/item.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import type { ApiEnv } from "../env.ts";
import { itemSummaries, itemSummaryOf } from "../read/item-summary.ts";
import {
  countSchema,
  nameText,
  plainJson,
  validJson,
  validParam,
  validQuery,
} from "../validation.ts";

const itemParam = z.object({ name: nameText });
const contentQuery = z.object({ version: countSchema.optional() });
const contentAnswer = z.object({
  /** Base 64. */
  content: z.string(),
});

/** Secrets and configs: the same but for one thing, that the content of a config is shown. */
export function itemRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .post(
      "/uploads",
      describe({
        summary: "Keeps a content for some minutes, to be used by its id",
        answer: z.object({ upload: uploadIdSchema }),
        status: 201,
        body: { media: "application/octet-stream", description: "The bytes of a content." },
      }),
      async (c) => {
        const bytes = new Uint8Array(await c.req.arrayBuffer());
        return c.json({ upload: deps.secrets.upload(bytes) }, 201);
      },
    )
    .route("/secrets", kindRoutes(deps, "secret"))
    .route("/configs", kindRoutes(deps, "config"))
    .get(
      "/configs/:name/content",
      describe({ summary: "What a config holds, in one of its versions", answer: contentAnswer }),
      validParam(itemParam),
      validQuery(contentQuery),
      (c) => {
        const { name } = c.req.valid("param");
        const bytes = deps.secrets.configContent(name, c.req.valid("query").version);
        return c.json({ content: Buffer.from(bytes).toString("base64") });
      },
    );
}

function kindRoutes(deps: ApiDeps, kind: ItemKind): Hono<ApiEnv> {
  const summaryOf = (name: string) => summaryNamed(deps, kind, name);
  return new Hono<ApiEnv>()
    .get(
      "/",
      describe({ summary: `All ${kind}s, by name`, answer: z.array(itemSummarySchema) }),
      (c) => c.json(itemSummaries(deps.store.view(), kind)),
    )
    .post(
      "/",
      describe({
        summary: `Makes a ${kind} that belongs to no stack`,
        answer: itemSummarySchema,
        status: 201,
      }),
      plainJson,
      validJson(itemRequestSchema),
      async (c) => {
        const request = c.req.valid("json");
        await deps.secrets.create(kind, request);
        return c.json(summaryOf(request.name), 201);
      },
    )
    .get(
      "/:name",
      describe({ summary: `One ${kind}, without its content`, answer: itemSummarySchema }),
      validParam(itemParam),
      (c) => c.json(summaryOf(c.req.valid("param").name)),
    )
    .put(
      "/:name",
      describe({
        summary: `Gives the ${kind} a new content; services that use it get new tasks`,
        answer: itemUpdateResultSchema,
      }),
      validParam(itemParam),
      plainJson,
      validJson(itemUpdateSchema),
      async (c) => {
        const { name } = c.req.valid("param");
        const result = await deps.secrets.update(kind, name, c.req.valid("json").upload);
        return c.json({ item: summaryOf(name), ...result });
      },
    )
    .delete(
      "/:name",
      describe({ summary: `Removes a ${kind} that nothing uses`, status: 204 }),
      validParam(itemParam),
      async (c) => {
        await deps.secrets.remove(kind, c.req.valid("param").name);
        return c.body(null, 204);
      },
    );
}

function summaryNamed(deps: ApiDeps, kind: ItemKind, name: string): ItemSummary {
  const view = deps.store.view();
  const item = findItem(view, kind, name);
  if (item !== undefined) return itemSummaryOf(view, item);
  throw new OrchdError("notFound", `there is no such ${kind}: see \`orchd ${kind} ls\``);
}
