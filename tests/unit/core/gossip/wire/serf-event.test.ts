import { expect, test } from "bun:test";
import {
  decodeSerfEvent,
  encodeSerfEvent,
} from "../../../../../src/core/gossip/wire/serf-event.ts";
import { toHex, utf8 } from "./bytes.ts";

const event = { time: 300, name: "orchd", payload: utf8("hi") };

test("an event of serf's users, byte for byte", () => {
  expect(toHex(encodeSerfEvent(event))).toBe(
    "0384a54c54696d65cd012ca44e616d65a56f72636864a75061796c6f6164a26869a24343c2",
  );
  expect(decodeSerfEvent(encodeSerfEvent(event))).toEqual(event);
});

test("other messages, cut off or not serf's at all, are no events", () => {
  const bytes = encodeSerfEvent(event);
  for (let length = 0; length < bytes.length; length++) {
    expect(decodeSerfEvent(bytes.subarray(0, length))).toBeUndefined();
  }
  expect(decodeSerfEvent(Uint8Array.of(1, 0x80))).toBeUndefined();
  expect(decodeSerfEvent(Uint8Array.of(3, 0x80))).toBeUndefined();
  expect(decodeSerfEvent(utf8("hello"))).toBeUndefined();
});
