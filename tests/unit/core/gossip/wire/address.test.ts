import { expect, test } from "bun:test";
import {
  canonicalHost,
  hostOfBytes,
  isMemberAddress,
} from "../../../../../src/core/gossip/wire/address.ts";
import { bytesOfHost } from "../../../../../src/lib/ip.ts";

test("each address has one text", () => {
  const texts: [string, string][] = [
    ["10.0.0.1", "10.0.0.1"],
    ["::ffff:10.0.0.1", "10.0.0.1"],
    ["::ffff:a00:1", "10.0.0.1"],
    ["FD00:0:0:0:0:0:0:1", "fd00::1"],
    ["fd00:0:0:1:0:0:0:1", "fd00:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["::", "::"],
    ["::1", "::1"],
    ["fe80::", "fe80::"],
    ["64:ff9b::1.2.3.4", "64:ff9b::102:304"],
  ];
  for (const [text, canonical] of texts) expect(canonicalHost(text)).toBe(canonical);
});

test("what is no address has none", () => {
  for (const text of [
    "",
    "a",
    "1.2.3",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4.5",
    ":",
    ":::",
    "1::2::3",
  ])
    expect(bytesOfHost(text)).toBeUndefined();
  for (const text of ["1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "fe80::1%eth0", "12345::", "1.2.3.4::"])
    expect(bytesOfHost(text)).toBeUndefined();
  for (const length of [0, 3, 5, 15, 17]) {
    expect(hostOfBytes(new Uint8Array(length))).toBeUndefined();
  }
});

test("a member is reached at one machine's address and a port", () => {
  const port = 7946;
  for (const host of ["10.0.0.1", "127.0.0.1", "fd00::1", "fe80::1", "223.255.255.255"]) {
    expect(isMemberAddress({ host, port })).toBe(true);
  }
  for (const host of ["0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "x"]) {
    expect(isMemberAddress({ host, port })).toBe(false);
  }
  for (const bad of [0, 65_536, -1, 1.5, Number.NaN]) {
    expect(isMemberAddress({ host: "10.0.0.1", port: bad })).toBe(false);
  }
});
