import { Hono } from "hono";
import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import {
  BUNDLE_TEXT_MAX,
  bundleKeysSchema,
  bundlePartsSchema,
  bundleRequestSchema,
  bundleResultSchema,
  bundleSignatureSchema,
} from "../../model/bundle.ts";
import { pemSchema } from "../../model/cluster.ts";
import { whileAdmitted } from "../admitted.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import { downloadOf } from "../download.ts";
import type { ApiEnv } from "../env.ts";
import { streamOf } from "./images.ts";
import { flagSchema, plainJson, validJson, validQuery } from "../validation.ts";

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, "is no digest");
const blobQuery = z.object({ digest });
const trustQuery = z.object({ trust: pemSchema.optional(), executablesOnly: flagSchema });
const signBody = z.object({ text: z.string().min(1).max(BUNDLE_TEXT_MAX) });

/** Everything for a site in one signed file. */
export function bundleRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>().route("/", makingRoutes(deps)).route("/", blobRoutes(deps));
}

function makingRoutes({ bundles }: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get(
      "/bundles/keys",
      describe({
        summary: "What bundles for this cluster are sealed with, and its own are checked with",
        answer: bundleKeysSchema,
      }),
      (c) => c.json(bundles.keys()),
    )
    .post(
      "/bundles/parts",
      describe({
        summary: "What the cluster gives to a bundle: stacks, contents, and which blobs",
        answer: bundlePartsSchema,
      }),
      plainJson,
      validJson(bundleRequestSchema),
      async (c) => {
        c.header("cache-control", "no-store");
        return c.json(await bundles.parts(c.req.valid("json")));
      },
    )
    .post(
      "/bundles/signature",
      describe({
        summary: "Signs what a bundle says of itself with the key of the cluster's authority",
        answer: bundleSignatureSchema,
      }),
      plainJson,
      validJson(signBody),
      (c) => c.json(bundles.sign(c.req.valid("json").text)),
    )
    .post(
      "/bundles",
      describe({
        summary: "Makes the site be what a signed bundle says, once all of it was checked",
        answer: bundleResultSchema,
        body: { media: "application/octet-stream", description: "A bundle." },
      }),
      validQuery(trustQuery),
      async (c) => {
        const { body } = c.req.raw;
        if (body === null) throw new OrchdError("invalid", "the body must be a bundle");
        const { trust, executablesOnly } = c.req.valid("query");
        const applied = bundles.apply(body, { trust, executablesOnly });
        return c.json(await whileAdmitted(c.get("admission"), applied));
      },
    );
}

function blobRoutes(deps: ApiDeps): Hono<ApiEnv> {
  const { bundles } = deps;
  return new Hono<ApiEnv>()
    .get(
      "/bundles/blobs",
      describe({
        summary: "Which blobs the site has: what a bundle for it may leave out",
        answer: z.array(digest),
      }),
      async (c) => c.json(await bundles.blobs()),
    )
    .get(
      "/bundles/blob",
      describe({ summary: "One blob of the images that the site keeps", as: "bytes" }),
      validQuery(blobQuery),
      async (c) => {
        const pieces = await bundles.blob(c.req.valid("query").digest);
        return downloadOf(c, streamOf(deps, pieces));
      },
    );
}
