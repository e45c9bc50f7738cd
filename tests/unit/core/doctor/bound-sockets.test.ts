import { describe, expect, test } from "bun:test";
import { parseBoundSockets, socketAt } from "../../../../src/core/doctor/bound-sockets.ts";

const HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n";

function line(local: string, state: string, inode: number, remote = "00000000:0000"): string {
  return `   0: ${local} ${remote} ${state} 0:0 00:0 00000000 0 0 ${inode} 1\n`;
}

describe("the sockets that a machine has", () => {
  test("are those that wait: no connection that is under way", () => {
    const text =
      HEAD +
      line("00000000:0050", "0A", 11) +
      line("0100007F:1F90", "0A", 12) +
      line("0200000A:0050", "01", 13, "0900000A:D431");
    expect(parseBoundSockets(text, "tcp")).toEqual([
      { protocol: "tcp", address: "*", port: 80, inode: 11 },
      { protocol: "tcp", address: "127.0.0.1", port: 8080, inode: 12 },
    ]);
  });

  test("of IPv6 are those that take IPv4 as well, as far as can be told", () => {
    const text =
      HEAD +
      line(`${"0".repeat(32)}:1F0A`, "07", 21) +
      line(`${"0".repeat(16)}FFFF00000200000A:1F0A`, "07", 22) +
      line(`${"0".repeat(24)}01000000:1F0A`, "07", 23);
    expect(parseBoundSockets(text, "udp").map(({ address }) => address)).toEqual(["*", "10.0.0.2"]);
  });

  test("are none of what is no list of sockets", () => {
    for (const text of ["", HEAD, `${HEAD}\n\n`, "nonsense\nmore : nonsense 0A\n"]) {
      expect(parseBoundSockets(text, "tcp")).toEqual([]);
    }
  });

  test("are in the way of the same port on all addresses, or on one of theirs", () => {
    const all = { protocol: "udp", address: "*", port: 53, inode: 1 } as const;
    const one = { ...all, address: "127.0.0.53", inode: 2 };
    const wanted = { protocol: "udp", port: 53 } as const;
    expect(socketAt([one], wanted)).toBe(one);
    expect(socketAt([one], { ...wanted, address: "10.210.1.1" })).toBeUndefined();
    expect(socketAt([one, all], { ...wanted, address: "10.210.1.1" })).toBe(all);
    expect(socketAt([all], { ...wanted, protocol: "tcp" })).toBeUndefined();
    expect(socketAt([all], { ...wanted, port: 54 })).toBeUndefined();
  });
});
