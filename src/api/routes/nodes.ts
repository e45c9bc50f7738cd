import { Hono } from "hono";
import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import { linkChangeSchema } from "../../model/link.ts";
import { nodeSchema, type Node } from "../../model/node.ts";
import { nodeInspectionSchema, nodeSummarySchema } from "../../model/summary.ts";
import type { View } from "../../model/view.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import type { ApiEnv } from "../env.ts";
import { nodeInspection, nodeSummary } from "../read/node-summary.ts";
import { resolveTarget } from "../read/target.ts";
import {
  flagSchema,
  nameText,
  plainJson,
  validJson,
  validParam,
  validQuery,
} from "../validation.ts";

/** A host name, an id, or the start of an id. */
const nodeParam = z.object({ node: nameText });
const DEADLINE_MAX_MS = 30 * 86_400_000;
const availabilityBody = z
  .object({
    availability: nodeSchema.shape.availability,
    /** Of a drain: when its tasks end also if nothing took their place, in ms from now. */
    deadlineMs: z.int().min(0).max(DEADLINE_MAX_MS).optional(),
  })
  .refine(
    ({ availability, deadlineMs }) => deadlineMs === undefined || availability === "drain",
    "a deadline goes with drain alone",
  );
const labelKey = z
  .string()
  .regex(/^[a-zA-Z0-9](?:[a-zA-Z0-9._/-]{0,253}[a-zA-Z0-9])?$/, "is not a key of a label");
const labelsBody = z.object({
  set: z.record(labelKey, z.string().max(255)).default({}),
  remove: z.array(labelKey).max(128).default([]),
});
const removeQuery = z.object({ force: flagSchema });

export function nodeRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .route("/", settingRoutes(deps))
    .get(
      "/nodes/:node",
      describe({
        summary: "One node: its health and why, and what it holds",
        answer: nodeInspectionSchema,
      }),
      validParam(nodeParam),
      (c) => {
        const view = deps.store.view();
        const node = findNode(view, c.req.valid("param").node);
        return c.json(nodeInspection(view, node, deps.healthReason(node.id), deps.clock.now()));
      },
    )
    .delete(
      "/nodes/:node",
      describe({
        summary: "Removes the node; while it is there and holds tasks only with `force`",
        status: 204,
      }),
      validParam(nodeParam),
      validQuery(removeQuery),
      async (c) => {
        const node = findNode(deps.store.view(), c.req.valid("param").node);
        await deps.removeNode(node.id, c.req.valid("query"));
        return c.body(null, 204);
      },
    );
}

/** What people say of a node. */
function settingRoutes(deps: ApiDeps): Hono<ApiEnv> {
  const summary = (node: Node) =>
    nodeSummary(deps.store.view(), deps.store.view().nodes.get(node.id) ?? node);
  return new Hono<ApiEnv>()
    .put(
      "/nodes/:node/availability",
      describe({
        summary: "Says whether the node takes tasks: active, pause, or drain",
        answer: nodeSummarySchema,
      }),
      validParam(nodeParam),
      plainJson,
      validJson(availabilityBody),
      async (c) => {
        const node = findNode(deps.store.view(), c.req.valid("param").node);
        const { availability, deadlineMs } = c.req.valid("json");
        await deps.setAvailability(node.id, availability, deadlineMs);
        return c.json(summary(node));
      },
    )
    .post(
      "/nodes/:node/labels",
      describe({ summary: "Sets and removes labels of the node", answer: nodeSummarySchema }),
      validParam(nodeParam),
      plainJson,
      validJson(labelsBody),
      async (c) => {
        const node = findNode(deps.store.view(), c.req.valid("param").node);
        await deps.setLabels(node.id, c.req.valid("json"));
        return c.json(summary(node));
      },
    )
    .post(
      "/nodes/:node/link",
      describe({
        summary: "Says how fast images may go over the node's link, and when",
        answer: nodeSummarySchema,
      }),
      validParam(nodeParam),
      plainJson,
      validJson(linkChangeSchema),
      async (c) => {
        const node = findNode(deps.store.view(), c.req.valid("param").node);
        await deps.setLink(node.id, c.req.valid("json"));
        return c.json(summary(node));
      },
    );
}

function findNode(view: View, text: string): Node {
  const target = resolveTarget(view, text, ["node"]);
  if (target.kind !== "node") throw new OrchdError("notFound", `${text} is not a node`);
  return target.node;
}
