import type { ServerWebSocket } from "bun";

export type ApiWebSocket = ServerWebSocket<ApiSocketData>;

/** The server's end of one WebSocket of the API. */
export interface ApiSocket {
  onOpen(ws: ApiWebSocket): void;
  onMessage(message: string | Uint8Array): void;
  onDrain(): void;
  onClose(): void;
}

export interface ApiSocketData {
  socket: ApiSocket;
}
