import type { Address, Message, Versions } from "../messages.ts";
import { assertNever } from "../../../lib/assert.ts";
import { bytesOfHost } from "../../../lib/ip.ts";
import { MsgpackWriter } from "./msgpack-writer.ts";
import { TYPE } from "./message-type.ts";

export const META_BYTES_MAX = 512;
/** serf allows 128 in a name; memberlist has no limit of its own. */
export const NAME_BYTES_MAX = 255;

/**
 * A message as it stands in a packet: its type, then a map with its fields in order of their names,
 * as memberlist's codec writes them.
 */
export function encodeMessage(message: Message): Uint8Array {
  const writer = new MsgpackWriter();
  writer.byte(TYPE[message.type]);
  writeBody(writer, message);
  return writer.finish();
}

function writeBody(writer: MsgpackWriter, message: Message): void {
  switch (message.type) {
    case "ping":
      writer.map(2 + sourceFields(message.source));
      writeText(writer, "Node", message.node);
      writeUint(writer, "SeqNo", message.sequence);
      return writeSource(writer, message.source);
    case "indirectPing":
      writer.map(5 + sourceFields(message.source));
      writer.text("Nack");
      writer.bool(message.wantsNack);
      writeText(writer, "Node", message.node);
      writeUint(writer, "Port", message.target.port);
      writeUint(writer, "SeqNo", message.sequence);
      writeSource(writer, message.source);
      return writeBin(writer, "Target", hostBytes(message.target));
    case "ack":
      writer.map(2);
      writeBin(writer, "Payload", message.payload);
      return writeUint(writer, "SeqNo", message.sequence);
    case "nack":
      writer.map(1);
      return writeUint(writer, "SeqNo", message.sequence);
    case "suspect":
    case "dead":
      writer.map(3);
      writeText(writer, "From", message.from);
      writeUint(writer, "Incarnation", message.incarnation);
      return writeText(writer, "Node", message.node);
    case "alive":
      writer.map(6);
      writeBin(writer, "Addr", hostBytes(message.address));
      writeUint(writer, "Incarnation", message.incarnation);
      writeBin(writer, "Meta", message.meta);
      writeText(writer, "Node", message.node);
      writeUint(writer, "Port", message.address.port);
      return writeVersions(writer, message.versions);
    case "user":
      return writer.raw(message.payload);
    default:
      return assertNever(message);
  }
}

type Source = { address: Address; node: string } | undefined;

/** The three fields of a source are left out when they are empty. */
function sourceFields(source: Source): number {
  if (source === undefined) return 0;
  return source.node === "" ? 2 : 3;
}

function writeSource(writer: MsgpackWriter, source: Source): void {
  if (source === undefined) return;
  writeBin(writer, "SourceAddr", hostBytes(source.address));
  if (source.node !== "") writeText(writer, "SourceNode", source.node);
  writeUint(writer, "SourcePort", source.address.port);
}

/** No bytes when the host is no address: the other end refuses that, as it must. */
export function hostBytes(address: Address): Uint8Array {
  return bytesOfHost(address.host) ?? new Uint8Array();
}

export function writeText(writer: MsgpackWriter, field: string, value: string): void {
  writer.text(field);
  writer.text(value);
}

export function writeUint(writer: MsgpackWriter, field: string, value: number): void {
  writer.text(field);
  writer.uint(value);
}

export function writeBin(writer: MsgpackWriter, field: string, value: Uint8Array): void {
  writer.text(field);
  writer.optionalBin(value);
}

export function writeVersions(writer: MsgpackWriter, versions: Versions): void {
  writeBin(writer, "Vsn", Uint8Array.from(versions));
}
