import type { Clock } from "../lib/clock.ts";
import { assertNever } from "../lib/assert.ts";
import { messageChainOf, OrchdError } from "../lib/errors.ts";
import type { TaskId } from "../model/ids.ts";
import { CONTENT_BYTES_MAX } from "../model/item.ts";
import type { AgentSession, ExecOptions, LogOptions } from "../model/session.ts";
import { encodeJson, finishFailed, finishWith, readJson, resizeSchema } from "./calls.ts";
import { answerHoldVolume, answerReadVolume, answerWriteVolume } from "./answer-volume-call.ts";
import { type Call, callSchema } from "./frames.ts";
import { bytesIn } from "./incoming-bytes.ts";
import { LineBatch } from "./line-batch.ts";
import type { SessionStream } from "./session-stream.ts";

/**
 * The agent's end of one call: does what the server asks and says how it went. Ends early when the
 * stream does.
 */
export async function answerCall(
  agent: AgentSession,
  asked: unknown,
  stream: SessionStream,
  clock: Clock,
): Promise<void> {
  try {
    const { success, data } = callSchema.safeParse(asked);
    if (!success) {
      const message = "the node's orchd does not know this call: upgrade it";
      throw new OrchdError("invalid", message);
    }
    finishWith(stream, await answer(agent, data, stream, clock));
  } catch (error) {
    finishFailed(stream, error instanceof OrchdError ? error : unexpected(error));
  }
}

async function answer(
  agent: AgentSession,
  call: Call,
  stream: SessionStream,
  clock: Clock,
): Promise<unknown> {
  switch (call.method) {
    case "logs":
      return sendLogs(agent, call.taskId, call.options, stream, clock);
    case "exec":
      return runExec(agent, call.taskId, call.options, stream);
    case "images":
      return agent.images();
    case "pruneImages":
      return agent.pruneImages(call.keep);
    case "fetchImages":
      return agent.fetchImages(call.references);
    case "removeVolumes":
      await agent.removeVolumes(call.names);
      return null;
    case "lackedContents":
      return agent.lackedContents(call.refs);
    case "takeContent":
      await agent.takeContent(call.ref, call.isGone ? undefined : await contentOn(stream));
      return null;
    case "upgrade":
      await agent.upgrade(call.order);
      return null;
    case "usage":
      return agent.usage(call.taskIds);
    case "held":
      return sendHeld(agent, stream);
    case "listVolumes":
      return agent.volumes.list(call);
    case "readVolume":
      return answerReadVolume(agent, call, stream);
    case "writeVolume":
      return answerWriteVolume(agent, call, stream);
    case "holdVolume":
      return answerHoldVolume(agent, call, stream);
    case "forward":
      return forward(agent, call.taskId, call.port, stream);
    default:
      return assertNever(call);
  }
}

async function sendLogs(
  agent: AgentSession,
  taskId: TaskId,
  options: LogOptions,
  stream: SessionStream,
  clock: Clock,
): Promise<null> {
  const batch = new LineBatch(clock, (bytes) => stream.write("data", bytes));
  try {
    for await (const line of agent.logs(taskId, options, stream.ended)) {
      await batch.add(JSON.stringify(line));
      if (stream.ended.aborted) break;
    }
    await batch.flush();
  } finally {
    batch.cancel();
  }
  return null;
}

/** One line each, since all of them may be more than one answer holds. */
async function sendHeld(agent: AgentSession, stream: SessionStream): Promise<null> {
  for (const assignment of await agent.held()) {
    await stream.write("data", new TextEncoder().encode(`${JSON.stringify(assignment)}\n`));
  }
  return null;
}

async function runExec(
  agent: AgentSession,
  taskId: TaskId,
  options: ExecOptions,
  stream: SessionStream,
): Promise<{ code: number }> {
  const session = await agent.exec(taskId, options);
  const leave = () => session.close();
  stream.ended.addEventListener("abort", leave);
  try {
    if (stream.ended.aborted) leave();
    await stream.write("message", encodeJson({ type: "started" }));
    const input = async () => {
      for (let next = await stream.next(); next !== undefined; next = await stream.next()) {
        if (next.kind === "data") await session.write(next.bytes);
        else if (next.kind === "end") session.closeStdin();
        else if (next.kind === "message") await session.resize(readJson(next, resizeSchema).size);
      }
    };
    // An input that fails is one that nobody reads any more: how the command ends says more.
    input().catch(() => {});
    for await (const { stream: kind, data } of session.output) await stream.write(kind, data);
    return { code: await session.exitCode };
  } finally {
    stream.ended.removeEventListener("abort", leave);
    leave();
  }
}

/** A whole content; it is bounded, whatever the server sends. */
async function contentOn(stream: SessionStream): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of bytesIn(stream)) {
    length += piece.length;
    if (length > CONTENT_BYTES_MAX.config) {
      throw new OrchdError("tooLarge", "a content is larger than any may be");
    }
    pieces.push(piece);
  }
  return new Uint8Array(Buffer.concat(pieces));
}

async function forward(
  agent: AgentSession,
  taskId: TaskId,
  port: number,
  stream: SessionStream,
): Promise<null> {
  const bytes = await agent.forward(taskId, port);
  const leave = () => bytes.close();
  stream.ended.addEventListener("abort", leave);
  const inward = async () => {
    for (let next = await stream.next(); next !== undefined; next = await stream.next()) {
      if (next.kind === "data") await bytes.write(next.bytes);
      else if (next.kind === "end") return bytes.end();
    }
  };
  const outward = async () => {
    for await (const data of bytes.input) await stream.write("data", data);
    stream.finish("end");
  };
  try {
    if (stream.ended.aborted) leave();
    await stream.write("message", encodeJson({ type: "started" }));
    await Promise.all([inward(), outward()]);
    return null;
  } finally {
    stream.ended.removeEventListener("abort", leave);
    leave();
  }
}

function unexpected(error: unknown): OrchdError {
  return new OrchdError("internal", `the node failed: ${messageChainOf(error)}`);
}
