import { z } from "zod";
import { nodeIdSchema, serviceIdSchema, taskIdSchema } from "../../model/ids.ts";
import type { NodeId } from "../../model/ids.ts";
import type { MapTask } from "../../model/network-map.ts";

type Told = Pick<MapTask, "id" | "serviceId" | "slot" | "address" | "isReady">;

/** What a node says of one of its tasks, to all others and without a server: or that it is over. */
export type TaskNews = Told | Pick<MapTask, "id">;

/** A node speaks of its own tasks alone. */
export interface TaskNotice {
  nodeId: NodeId;
  /** Grows with each notice of the node; at most `NOTICE_VERSION_MAX`. */
  version: number;
  tasks: TaskNews[];
}

/** As many as fit into one packet. */
export const NOTICE_TASKS_MAX = 8;
/** A node that is pushed to this one stays there: of two with it, the later one counts. */
export const NOTICE_VERSION_MAX = 2 ** 52;
const SLOT_MAX = 32;

const noticeSchema = z.tuple([
  nodeIdSchema,
  z.int().min(0).max(NOTICE_VERSION_MAX),
  z
    .array(
      z.union([
        z.tuple([taskIdSchema]),
        z.tuple([
          taskIdSchema,
          serviceIdSchema,
          z.string().max(SLOT_MAX),
          z.ipv4(),
          z.union([z.literal(0), z.literal(1)]),
        ]),
      ]),
    )
    .max(NOTICE_TASKS_MAX),
]);

/** Short, since it goes with what members tell each other in packets. */
export function formatNotice({ nodeId, version, tasks }: TaskNotice): string {
  const rows = tasks.map((task) =>
    "address" in task
      ? [task.id, task.serviceId, task.slot, task.address, task.isReady ? 1 : 0]
      : [task.id],
  );
  return JSON.stringify([nodeId, version, rows]);
}

/** Undefined for anything else. */
export function parseNotice(text: string): TaskNotice | undefined {
  const { data } = noticeSchema.safeParse(parseJson(text));
  if (data === undefined) return undefined;
  const [nodeId, version, rows] = data;
  const tasks = rows.map(([id, serviceId, slot, address, ready]): TaskNews => {
    if (serviceId === undefined || slot === undefined || address === undefined) return { id };
    return { id, serviceId, slot, address, isReady: ready === 1 };
  });
  return { nodeId, version, tasks };
}

/** What has changed from the tasks that a node had to those that it has, for the others. */
export function newsBetween(before: readonly Told[], after: readonly Told[]): TaskNews[] {
  const known = new Map(before.map((task) => [task.id, task]));
  const news: TaskNews[] = [];
  for (const { id, serviceId, slot, address, isReady } of after) {
    const old = known.get(id);
    known.delete(id);
    if (old?.address === address && old.isReady === isReady) continue;
    news.push({ id, serviceId, slot, address, isReady });
  }
  return [...news, ...[...known.keys()].map((id) => ({ id }))];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // Not JSON: the schema refuses it like any other wrong shape.
    return undefined;
  }
}
