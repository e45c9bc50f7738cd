import { z } from "zod";
import type { AgentSession } from "../model/session.ts";
import type { VolumeContents, VolumeHold } from "../model/volume.ts";
import { encodeJson, readJson } from "./calls.ts";
import type { Call } from "./frames.ts";
import { bytesIn } from "./incoming-bytes.ts";
import type { SessionStream } from "./session-stream.ts";

/** The agent's end of calls that are about volumes. */

type CallOf<Method extends Call["method"]> = Extract<Call, { method: Method }>;

/** What becomes of tasks that stand still since their volume is being moved. */
export const leaveSchema = z.object({ type: z.literal("leave"), generation: z.int().min(0) });

export async function answerReadVolume(
  agent: AgentSession,
  { name, how }: CallOf<"readVolume">,
  stream: SessionStream,
): Promise<null> {
  const reading = await agent.volumes.read(name, how);
  try {
    await stream.write("message", encodeJson({ type: "started" }));
    for await (const bytes of reading.pieces) {
      if (stream.ended.aborted) break;
      await stream.write("data", bytes);
    }
    return null;
  } finally {
    await reading.close();
  }
}

export function answerWriteVolume(
  agent: AgentSession,
  { name, stop, mount }: CallOf<"writeVolume">,
  stream: SessionStream,
): Promise<VolumeContents> {
  return agent.volumes.write(name, bytesIn(stream), { stop, mount });
}

/**
 * Holds until it is said what is to become of the tasks. Whoever gives up lets them go on; where
 * the session breaks nobody knows whether they are to, and the next set tells.
 */
export async function answerHoldVolume(
  agent: AgentSession,
  { name }: CallOf<"holdVolume">,
  stream: SessionStream,
): Promise<null> {
  const hold = await agent.volumes.hold(name);
  try {
    await stream.write("message", encodeJson({ type: "started" }));
    const next = await stream.next();
    if (next?.kind === "message") await hold.leave(readJson(next, leaveSchema).generation);
    else await hold.release();
  } catch (error) {
    await leave(hold);
    throw error;
  }
  return null;
}

async function leave(hold: VolumeHold): Promise<void> {
  await hold.leave();
}
