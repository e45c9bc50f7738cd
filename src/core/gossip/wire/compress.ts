import { readFields } from "./fields.ts";
import { lzwPack, lzwUnpack } from "./lzw.ts";
import { TYPE } from "./message-type.ts";
import type { MsgpackReader } from "./msgpack-reader.ts";
import { MsgpackWriter } from "./msgpack-writer.ts";
import type { Refusal } from "./refusal.ts";

/** memberlist's only method. */
const LZW = 0;

/** The payload as a compressed message, whether that is shorter or not. */
export function compress(payload: Uint8Array): Uint8Array {
  const writer = new MsgpackWriter();
  writer.byte(TYPE.compress);
  writer.map(2);
  writer.text("Algo");
  writer.uint(LZW);
  writer.text("Buf");
  writer.bin(lzwPack(payload));
  return writer.finish();
}

/**
 * What is in a compressed message.
 * @param reader stands behind the message's type
 * @param bytesMax what it may come to
 */
export function decompress(reader: MsgpackReader, bytesMax: number): Uint8Array | Refusal {
  const { Algo, Buf } = readFields(reader);
  if (reader.refused !== undefined) return reader.refused;
  if (Algo !== LZW) return "badCompression";
  const unpacked = lzwUnpack(Buf, bytesMax);
  return unpacked.length === 0 ? "empty" : unpacked;
}
