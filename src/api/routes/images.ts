import { Hono } from "hono";
import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import { sortedBy } from "../../lib/order.ts";
import { type AgentSession, imageSummarySchema } from "../../model/session.ts";
import { whileAdmitted } from "../admitted.ts";
import { hostnameOfNode } from "../agents.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import type { ApiEnv } from "../env.ts";
import { splitStream } from "../split-stream.ts";

const nodeImagesSchema = z.object({ node: z.string(), images: z.array(imageSummarySchema) });
const loadedSchema = z.object({ node: z.string(), references: z.array(z.string()) });

export function imageRoutes(deps: ApiDeps): Hono<ApiEnv> {
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
        summary: "Loads an image archive into every connected node",
        answer: z.array(loadedSchema),
        body: { media: "application/octet-stream", description: "A docker or OCI archive." },
      }),
      async (c) => {
        const agents = connected(deps);
        const { body } = c.req.raw;
        if (body === null) throw new OrchdError("invalid", "the body must be an image archive");
        if (agents.length === 0) {
          const message = "no node is connected that could take the image: try again";
          throw new OrchdError("unreachable", message, { retryable: true });
        }
        const loads = loadIntoAll(deps, agents, body);
        return c.json(await whileAdmitted(c.get("admission"), loads));
      },
    );
}

function connected(deps: ApiDeps): AgentSession[] {
  return sortedBy(deps.sessions(), (agent) => hostnameOfNode(deps, agent.nodeId));
}

/** A single agent gets the stream itself. Throws what the first agent that failed says. */
async function loadIntoAll(
  deps: ApiDeps,
  agents: readonly AgentSession[],
  archive: ReadableStream<Uint8Array>,
): Promise<z.infer<typeof loadedSchema>[]> {
  const copies = agents.length === 1 ? [] : splitStream(archive, agents.length);
  const loads = agents.map(async (agent, i) => {
    try {
      const references = await agent.loadImage(copies[i]?.stream ?? archive);
      return { node: hostnameOfNode(deps, agent.nodeId), references };
    } finally {
      copies[i]?.release();
    }
  });
  // All of them, even if one fails: a load that goes on must not outlive its request.
  const results = await Promise.allSettled(loads);
  return results.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}
