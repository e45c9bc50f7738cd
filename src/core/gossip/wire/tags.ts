import { compareText } from "../../../lib/order.ts";
import { META_BYTES_MAX } from "./message.ts";
import { MsgpackReader } from "./msgpack-reader.ts";
import { MsgpackWriter } from "./msgpack-writer.ts";

/** Marks a member's meta as serf's tags (serf.go, encodeTags); anything else is an old role. */
const MAGIC = 0xff;

/**
 * A member's tags as its meta, in the form that `serf members` shows.
 * @returns undefined when they take more than the 512 bytes that a meta may have
 */
export function encodeTags(tags: Readonly<Record<string, string>>): Uint8Array | undefined {
  const writer = new MsgpackWriter();
  writer.byte(MAGIC);
  const names = Object.keys(tags).sort(compareText);
  writer.map(names.length);
  for (const name of names) {
    writer.text(name);
    writer.text(tags[name] ?? "");
  }
  const meta = writer.finish();
  return meta.length > META_BYTES_MAX ? undefined : meta;
}

/** The tags in a member's meta; none when it is something else. */
export function decodeTags(meta: Uint8Array): Record<string, string> {
  const reader = new MsgpackReader(meta);
  if (reader.byte() !== MAGIC) return {};
  const tags = new Map<string, string>();
  for (let left = reader.map(); left > 0 && reader.ok; left--) {
    const name = reader.text();
    tags.set(name, reader.text());
  }
  return reader.ok ? Object.fromEntries(tags) : {};
}
