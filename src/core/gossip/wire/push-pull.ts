import type { MemberState, PushedMember, PushPull } from "../messages.ts";
import type { Fields } from "./fields.ts";
import { addressOf, metaOf, nameOf, versionsOf, type AddressPolicy, type Judge } from "./judge.ts";
import { hostBytes, writeBin, writeText, writeUint, writeVersions } from "./message.ts";
import { TYPE } from "./message-type.ts";
import { MsgpackWriter } from "./msgpack-writer.ts";
import type { Refusal } from "./refusal.ts";

/** In order of memberlist's numbers. */
const STATES: readonly MemberState[] = ["alive", "suspect", "dead", "left"];
/** No member takes less, however short its name. */
export const MEMBER_BYTES_MIN = 48;
/** No member takes more; a later version's fields have room in it. */
export const MEMBER_BYTES_MAX = 4096;

/** Header, members and user state of a push/pull, with its type. */
export function encodePushPull({ join, members, userState }: PushPull): Uint8Array {
  const writer = new MsgpackWriter();
  writer.byte(TYPE.pushPull);
  writer.map(3);
  writer.text("Join");
  writer.bool(join);
  writeUint(writer, "Nodes", members.length);
  writeUint(writer, "UserStateLen", userState.length);
  for (const member of members) writeMember(writer, member);
  writer.raw(userState);
  return writer.finish();
}

function writeMember(writer: MsgpackWriter, member: PushedMember): void {
  writer.map(7);
  writeBin(writer, "Addr", hostBytes(member.address));
  writeUint(writer, "Incarnation", member.incarnation);
  writeBin(writer, "Meta", member.meta);
  writeText(writer, "Name", member.node);
  writeUint(writer, "Port", member.address.port);
  writeUint(writer, "State", STATES.indexOf(member.state));
  writeVersions(writer, member.versions);
}

/** One member, or why it is not taken; the other members of the push/pull are none the worse. */
export function memberOf(fields: Fields, policy: AddressPolicy): PushedMember | Refusal {
  let refused: Refusal | undefined;
  const judge: Judge = { refuse: (refusal) => (refused ??= refusal) };
  const state = STATES[fields.State];
  const member = {
    node: nameOf(judge, fields.Name),
    address: addressOf(judge, fields.Addr, fields.Port, policy),
    meta: metaOf(judge, fields.Meta),
    incarnation: fields.Incarnation,
    versions: versionsOf(judge, fields.Vsn),
  };
  if (state === undefined) return "badState";
  return refused ?? { ...member, state };
}
