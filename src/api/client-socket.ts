import { isErrorCode, OrchdError } from "../lib/errors.ts";

/** What the server says on a WebSocket beside bytes. */
export type ServerMessage =
  | { type: "started" }
  | { type: "eof" }
  | { type: "exit"; code: number }
  | { type: "error"; code: string; message: string };

/** More than this waits in memory only until the socket has taken what is before it. */
const UNSENT_BYTES_MAX = 1024 * 1024;
const UNSENT_POLL_MS = 5;

/** Undefined for what is no message of orchd's server. */
export function parseServerMessage(text: string): ServerMessage | undefined {
  let value: Partial<Record<string, unknown>>;
  try {
    value = JSON.parse(text) as Partial<Record<string, unknown>>;
  } catch {
    // Told as a damaged answer by the caller.
    return undefined;
  }
  const { type, code, message } = value;
  if (type === "started" || type === "eof") return { type };
  if (type === "exit" && typeof code === "number") return { type, code };
  if (type !== "error" || typeof message !== "string") return undefined;
  return { type, code: typeof code === "string" ? code : "internal", message };
}

export function errorOf({ code, message }: { code: string; message: string }): OrchdError {
  return new OrchdError(isErrorCode(code) ? code : "internal", message);
}

export function damaged(): OrchdError {
  return new OrchdError("internal", "the orchd server's answer is damaged: try again");
}

/** Resolves when more may be written. */
export async function written(socket: WebSocket, data: Uint8Array): Promise<void> {
  const isOpen = () => socket.readyState === WebSocket.OPEN;
  if (isOpen()) socket.send(data);
  while (isOpen() && socket.bufferedAmount > UNSENT_BYTES_MAX) {
    await new Promise((resolve) => setTimeout(resolve, UNSENT_POLL_MS));
  }
}
