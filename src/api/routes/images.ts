import { Hono } from "hono";
import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import { sortedBy } from "../../lib/order.ts";
import {
  freedSchema,
  imageCopySchema,
  keptImageSchema,
  loadedImagesSchema,
} from "../../model/image.ts";
import { type AgentSession, imageSummarySchema } from "../../model/session.ts";
import { whileAdmitted } from "../admitted.ts";
import { hostnameOfNode } from "../agents.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import { downloadOf } from "../download.ts";
import type { ApiEnv } from "../env.ts";
import { flagSchema, plainJson, validJson, validQuery } from "../validation.ts";

const IMAGES_MAX = 256;

const nodeImagesSchema = z.object({ node: z.string(), images: z.array(imageSummarySchema) });
const referenceText = z.string().min(1).max(512);
const removeQuery = z.object({ reference: referenceText, force: flagSchema });
const fetchBody = z.object({
  references: z.array(referenceText).min(1).max(IMAGES_MAX),
  labels: z.record(z.string().max(255), z.string().max(255)).default({}),
});
const saveQuery = z.object({
  reference: z.union([
    referenceText.transform((one) => [one]),
    z.array(referenceText).min(1).max(IMAGES_MAX),
  ]),
});

export function imageRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>().route("/", archiveRoutes(deps)).route("/", keptRoutes(deps));
}

/** Images in and out. */
function archiveRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get(
      "/images",
      describe({ summary: "The images of each connected node", answer: z.array(nodeImagesSchema) }),
      async (c) => {
        const found = connected(deps).map(async (agent) => ({
          node: hostnameOfNode(deps, agent.nodeId),
          images: await agent.images(),
        }));
        return c.json(await Promise.all(found));
      },
    )
    .post(
      "/images",
      describe({
        summary: "Keeps the images of an archive, and has every connected node get them",
        answer: loadedImagesSchema,
        body: { media: "application/octet-stream", description: "A docker or OCI archive." },
      }),
      async (c) => {
        const { body } = c.req.raw;
        if (body === null) throw new OrchdError("invalid", "the body must be an image archive");
        return c.json(await whileAdmitted(c.get("admission"), deps.images.load(body)));
      },
    )
    .post(
      "/images/copy",
      describe({
        summary: "Keeps an image of a registry elsewhere, and has every connected node get it",
        answer: loadedImagesSchema,
      }),
      plainJson,
      validJson(imageCopySchema),
      async (c) => {
        const copied = deps.images.copy(c.req.valid("json"));
        return c.json(await whileAdmitted(c.get("admission"), copied));
      },
    )
    .get(
      "/images/archive",
      describe({ summary: "Images that the site keeps, as an OCI archive", as: "bytes" }),
      validQuery(saveQuery),
      async (c) => {
        const pieces = await deps.images.save(c.req.valid("query").reference);
        return downloadOf(c, streamOf(deps, pieces));
      },
    );
}

/** What the site keeps. */
function keptRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get(
      "/images/kept",
      describe({ summary: "The images that the site keeps", answer: z.array(keptImageSchema) }),
      async (c) => c.json(await deps.images.list()),
    )
    .delete(
      "/images/kept",
      describe({
        summary: "Forgets a name of an image, and what nothing else needs of it",
        answer: freedSchema,
      }),
      validQuery(removeQuery),
      async (c) => {
        const { reference, force } = c.req.valid("query");
        return c.json(await deps.images.remove(reference, { force }));
      },
    )
    .post(
      "/images/fetch",
      describe({
        summary: "Has the connected nodes with all these labels get images that the site keeps",
        answer: loadedImagesSchema,
      }),
      plainJson,
      validJson(fetchBody),
      async (c) => {
        const { references, labels } = c.req.valid("json");
        const fetched = deps.images.fetch(references, labels);
        return c.json(await whileAdmitted(c.get("admission"), fetched));
      },
    )
    .post(
      "/images/prune",
      describe({
        summary: "Removes what no name and no revision of a service needs",
        answer: freedSchema,
      }),
      async (c) => c.json(await deps.images.prune()),
    );
}

function connected(deps: ApiDeps): AgentSession[] {
  return sortedBy(deps.sessions(), (agent) => hostnameOfNode(deps, agent.nodeId));
}

/** What goes wrong on the way is in the server's log: the answer has begun and can't tell it. */
export function streamOf(
  deps: Pick<ApiDeps, "log">,
  pieces: AsyncIterable<Uint8Array>,
): ReadableStream<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const next = await iterator.next();
          if (next.done === true) controller.close();
          else controller.enqueue(next.value);
        } catch (error) {
          deps.log.warn(`an archive of images broke off: ${String(error)}`);
          throw error;
        }
      },
      cancel: async () => void (await iterator.return?.()),
    },
    { highWaterMark: 0 },
  );
}
