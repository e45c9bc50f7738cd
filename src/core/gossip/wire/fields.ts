import type { MsgpackReader } from "./msgpack-reader.ts";

export const UINT32_MAX = 0xffff_ffff;

/** Every field that any message has, under memberlist's names, empty where it did not come. */
export interface Fields {
  SeqNo: number;
  Incarnation: number;
  Node: string;
  Name: string;
  From: string;
  Addr: Uint8Array;
  Port: number;
  Target: Uint8Array;
  Nack: boolean;
  SourceAddr: Uint8Array;
  SourcePort: number;
  SourceNode: string;
  Payload: Uint8Array;
  Meta: Uint8Array;
  Vsn: Uint8Array;
  State: number;
  Nodes: number;
  UserStateLen: number;
  Join: boolean;
  UserMsgLen: number;
  Algo: number;
  Buf: Uint8Array;
  Error: string;
}

/** More fields than any message has, with room for later versions. */
const FIELDS_MAX = 32;
const NO_BYTES = new Uint8Array();

const READERS: { [F in keyof Fields]: ReadField } = {
  SeqNo: (reader, into) => (into.SeqNo = reader.uint(UINT32_MAX)),
  Incarnation: (reader, into) => (into.Incarnation = reader.uint(UINT32_MAX)),
  Node: (reader, into) => (into.Node = reader.text()),
  Name: (reader, into) => (into.Name = reader.text()),
  From: (reader, into) => (into.From = reader.text()),
  Addr: (reader, into) => (into.Addr = reader.bin()),
  Port: (reader, into) => (into.Port = reader.uint(0xffff)),
  Target: (reader, into) => (into.Target = reader.bin()),
  Nack: (reader, into) => (into.Nack = reader.bool()),
  SourceAddr: (reader, into) => (into.SourceAddr = reader.bin()),
  SourcePort: (reader, into) => (into.SourcePort = reader.uint(0xffff)),
  SourceNode: (reader, into) => (into.SourceNode = reader.text()),
  Payload: (reader, into) => (into.Payload = reader.bin()),
  Meta: (reader, into) => (into.Meta = reader.bin()),
  Vsn: (reader, into) => (into.Vsn = reader.bin()),
  State: (reader, into) => (into.State = reader.uint(UINT32_MAX)),
  Nodes: (reader, into) => (into.Nodes = reader.uint(Number.MAX_SAFE_INTEGER)),
  UserStateLen: (reader, into) => (into.UserStateLen = reader.uint(Number.MAX_SAFE_INTEGER)),
  Join: (reader, into) => (into.Join = reader.bool()),
  UserMsgLen: (reader, into) => (into.UserMsgLen = reader.uint(Number.MAX_SAFE_INTEGER)),
  Algo: (reader, into) => (into.Algo = reader.uint(0xff)),
  Buf: (reader, into) => (into.Buf = reader.bin()),
  Error: (reader, into) => (into.Error = reader.text()),
};

type ReadField = (reader: MsgpackReader, into: Fields) => void;
const READER_OF = new Map<string, ReadField>(Object.entries(READERS));

/**
 * Reads one map of fields. Those that nobody knows are passed over, so that later versions can add
 * some; one that is there twice is refused, since readers would differ in which one they take.
 */
export function readFields(reader: MsgpackReader): Fields {
  const fields = noFields();
  const seen = new Set<string>();
  const count = reader.map();
  if (count > FIELDS_MAX) reader.refuse("tooMany");
  for (let left = count; left > 0 && reader.ok; left--) {
    const name = reader.text();
    if (seen.has(name)) reader.refuse("duplicateField");
    seen.add(name);
    const read = READER_OF.get(name);
    if (read === undefined) reader.skip();
    else read(reader, fields);
  }
  return fields;
}

function noFields(): Fields {
  return {
    SeqNo: 0,
    Incarnation: 0,
    Node: "",
    Name: "",
    From: "",
    Addr: NO_BYTES,
    Port: 0,
    Target: NO_BYTES,
    Nack: false,
    SourceAddr: NO_BYTES,
    SourcePort: 0,
    SourceNode: "",
    Payload: NO_BYTES,
    Meta: NO_BYTES,
    Vsn: NO_BYTES,
    State: 0,
    Nodes: 0,
    UserStateLen: 0,
    Join: false,
    UserMsgLen: 0,
    Algo: 0,
    Buf: NO_BYTES,
    Error: "",
  };
}
