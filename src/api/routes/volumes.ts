import { Hono } from "hono";
import { z } from "zod";
import type { Move } from "../../core/reconcile/move-volumes.ts";
import { OrchdError } from "../../lib/errors.ts";
import {
  consistencySchema,
  moveProgressSchema,
  VOLUME_NAME,
  volumeContentsSchema,
  volumePlaceSchema,
  type VolumeReading,
  volumeSummarySchema,
} from "../../model/volume.ts";
import { whileAdmitted } from "../admitted.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import { downloadOf } from "../download.ts";
import type { ApiEnv } from "../env.ts";
import { agentWithVolume, findVolumes } from "../locate-volume.ts";
import { resolveTarget } from "../read/target.ts";
import { mountNamed } from "../read/volume-summary.ts";
import { StreamSocket } from "../stream-socket.ts";
import { streamLines } from "../stream.ts";
import {
  flagSchema,
  nameText,
  plainJson,
  validJson,
  validParam,
  validQuery,
} from "../validation.ts";
import { holdStream } from "../volume-hold.ts";
import { upgrade } from "../web-socket.ts";

const volumeName = z.string().regex(VOLUME_NAME, "is not a name of a volume");
const volumeParam = z.object({ volume: volumeName });
const nodeQuery = z.object({ node: nameText.optional() });
const listQuery = z.object({ sizes: flagSchema });
const readQuery = nodeQuery.extend({ how: consistencySchema.default("freeze") });
const writeQuery = nodeQuery.extend({ stop: flagSchema });
const moveBody = z.object({
  volumes: z.array(volumeName).min(1).max(64),
  node: nameText,
});

export function volumeRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .route("/", lookRoutes(deps))
    .route("/", archiveRoutes(deps))
    .route("/", placeRoutes(deps));
}

/** What there is, and what goes. */
function lookRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get(
      "/volumes",
      describe({
        summary: "Volumes on all nodes, by name; with `sizes` measured now",
        answer: z.array(volumeSummarySchema),
      }),
      validQuery(listQuery),
      async (c) => c.json(await findVolumes(deps, c.req.valid("query"))),
    )
    .get(
      "/volumes/:volume",
      describe({
        summary: "A volume on each node that has it, measured now",
        answer: z.array(volumeSummarySchema),
      }),
      validParam(volumeParam),
      async (c) => {
        const { volume } = c.req.valid("param");
        const found = await findVolumes(deps, { names: [volume], sizes: true });
        if (found.length === 0) await agentWithVolume(deps, volume, undefined);
        return c.json(found);
      },
    )
    .delete(
      "/volumes/:volume",
      describe({ summary: "Removes a volume that no task uses from its node", status: 204 }),
      validParam(volumeParam),
      validQuery(nodeQuery),
      async (c) => {
        const { volume } = c.req.valid("param");
        const agent = await agentWithVolume(deps, volume, c.req.valid("query").node);
        await removeVolume(deps, agent.nodeId, volume);
        return c.body(null, 204);
      },
    );
}

/** Files out and in, and from node to node. */
function archiveRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get(
      "/volumes/:volume/archive",
      describe({
        summary: "The files of a volume, as an archive; tasks that use it stand still as asked",
        as: "bytes",
      }),
      validParam(volumeParam),
      validQuery(readQuery),
      async (c) => {
        const { volume } = c.req.valid("param");
        const { node, how } = c.req.valid("query");
        const agent = await agentWithVolume(deps, volume, node);
        return downloadOf(c, streamOf(deps, volume, await agent.volumes.read(volume, how)));
      },
    )
    .put(
      "/volumes/:volume/archive",
      describe({
        summary: "Puts what an archive holds in the place of what the volume has: all or nothing",
        answer: volumeContentsSchema,
        body: { media: "application/octet-stream", description: "An archive of a volume." },
      }),
      validParam(volumeParam),
      validQuery(writeQuery),
      async (c) => {
        const { volume } = c.req.valid("param");
        const { node, stop } = c.req.valid("query");
        const { body } = c.req.raw;
        if (body === null) throw new OrchdError("invalid", "the body must be an archive");
        const agent = await agentWithVolume(deps, volume, node, true);
        const mount = mountNamed(deps.store.view(), volume);
        const written = agent.volumes.write(volume, body, { stop, mount });
        return c.json(await whileAdmitted(c.get("admission"), written));
      },
    )
    .post(
      "/volumes/move",
      describe({
        summary: "Moves volumes with the tasks that use them to another node",
        answer: moveProgressSchema,
        as: "stream",
      }),
      plainJson,
      validJson(moveBody),
      async (c) => {
        const { volumes, node } = c.req.valid("json");
        const move = await moveOf(deps, [...new Set(volumes)], node);
        return streamLines(c, deps, (sink) =>
          deps.moveVolumes(move, (progress) => sink.write(progress)),
        );
      },
    );
}

/** For those on the server's machine, who read the files where they are. */
function placeRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get(
      "/volumes/:volume/place",
      describe({
        summary: "Where the files of a volume are on the server's machine; null for other nodes",
        answer: volumePlaceSchema.nullable(),
      }),
      validParam(volumeParam),
      validQuery(nodeQuery),
      async (c) => {
        const { volume } = c.req.valid("param");
        const agent = await agentWithVolume(deps, volume, c.req.valid("query").node);
        return c.json((await agent.volumes.place?.(volume)) ?? null);
      },
    )
    .get(
      "/volumes/:volume/hold",
      describe({
        summary: "A WebSocket while which tasks of a volume stand still, see src/api/README.md",
        status: 101,
      }),
      validParam(volumeParam),
      validQuery(readQuery),
      (c) => {
        const { volume } = c.req.valid("param");
        const { node, how } = c.req.valid("query");
        const { clock, log } = deps;
        const start = async () => {
          const agent = await agentWithVolume(deps, volume, node);
          return holdStream(await agent.volumes.read(volume, how), log);
        };
        return upgrade(c, new StreamSocket({ clock, log, start }));
      },
    );
}

async function moveOf(deps: ApiDeps, names: readonly string[], node: string): Promise<Move> {
  const target = resolveTarget(deps.store.view(), node, ["node"]);
  if (target.kind !== "node") throw new OrchdError("notFound", `${node} is not a node`);
  const agents = [];
  for (const name of names) agents.push(await agentWithVolume(deps, name, undefined));
  const [first, ...others] = agents;
  if (first === undefined || others.some(({ nodeId }) => nodeId !== first.nodeId)) {
    throw new OrchdError("conflict", "volumes that move together have to be on one node");
  }
  return { names, from: first.nodeId, to: target.node.id };
}

async function removeVolume(
  deps: ApiDeps,
  nodeId: Parameters<ApiDeps["session"]>[0],
  volume: string,
): Promise<void> {
  const session = deps.session(nodeId);
  if (session === undefined) throw new OrchdError("unreachable", "the node went away: try again");
  await session.removeVolumes([volume]);
  const [left] = await session.volumes.list({ names: [volume], sizes: false });
  if (left === undefined) return;
  const why = left.isOurs ? "something uses it there" : "orchd did not make it";
  throw new OrchdError("conflict", `the volume ${volume} stays: ${why}`);
}

/** What goes wrong on the way is in the server's log: the answer has begun and can't tell it. */
function streamOf(
  deps: ApiDeps,
  volume: string,
  reading: VolumeReading,
): ReadableStream<Uint8Array> {
  const iterator = reading.pieces[Symbol.asyncIterator]();
  const close = () => reading.close();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const next = await iterator.next();
          // Whoever sends it keeps it for a while.
          if (next.done !== true) return controller.enqueue(next.value.slice());
          await close();
          controller.close();
        } catch (error) {
          deps.log.warn(`the archive of volume ${volume} broke off: ${String(error)}`);
          await close();
          throw error;
        }
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  );
}
