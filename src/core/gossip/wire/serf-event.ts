import { MsgpackReader } from "./msgpack-reader.ts";
import { MsgpackWriter } from "./msgpack-writer.ts";

/**
 * An event of a user of serf (hashicorp/serf 0.9, messages.go): what members tell each other beside
 * who they are. A serf passes it on, and shows it to whoever monitors.
 */
export interface SerfEvent {
  /** Lamport time. */
  time: number;
  name: string;
  payload: Uint8Array;
}

const USER_EVENT = 3;
const TIME_MAX = Number.MAX_SAFE_INTEGER - 1;

export function encodeSerfEvent({ time, name, payload }: SerfEvent): Uint8Array {
  const writer = new MsgpackWriter();
  writer.byte(USER_EVENT);
  writer.map(4);
  writer.text("LTime");
  writer.uint(time);
  writer.text("Name");
  writer.text(name);
  writer.text("Payload");
  writer.bin(payload);
  // Whether equal events that come together may be told as one.
  writer.text("CC");
  writer.bool(false);
  return writer.finish();
}

/** @returns undefined when it is another message of serf's, or none */
export function decodeSerfEvent(bytes: Uint8Array): SerfEvent | undefined {
  const reader = new MsgpackReader(bytes);
  if (reader.byte() !== USER_EVENT) return undefined;
  const event: SerfEvent = { time: 0, name: "", payload: new Uint8Array() };
  for (let left = reader.map(); left > 0 && reader.ok; left--) {
    const field = reader.text();
    if (field === "LTime") event.time = reader.uint(TIME_MAX);
    else if (field === "Name") event.name = reader.text();
    else if (field === "Payload") event.payload = reader.bin().slice();
    else reader.skip();
  }
  return reader.ok && event.name !== "" ? event : undefined;
}
