/** One end of a WebSocket, as much of it as a session needs. */
export interface Link {
  /** Bytes that were handed over and wait in this process for the system to take them. */
  readonly bufferedBytes: number;
  /** Hands a frame over; does nothing once the link has gone. */
  send(frame: string | Uint8Array): void;
  /** Asks the other end for a sign of life. */
  ping(): void;
  /**
   * Says goodbye, after everything that was sent; the link goes once the other end has answered, or
   * has not within `withinMs` (5 s if it is not said).
   */
  close(code: number, reason: string, withinMs?: number): void;
  /** Drops the connection at once. */
  terminate(): void;
  /** Begins to hand over what comes in. Called once, in the turn in which the link was made. */
  listen(handlers: LinkHandlers): void;
}

export interface LinkHandlers {
  onText(text: string): void;
  onBytes(bytes: Uint8Array): void;
  /** A ping or a pong came in. */
  onSound(): void;
  /** Less is buffered than before. */
  onDrain(): void;
  /** The last event. */
  onClose(code: number, reason: string): void;
}
