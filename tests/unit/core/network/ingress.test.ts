import { describe, expect, test } from "bun:test";
import { formatIngress } from "../../../../src/core/network/ingress.ts";
import { aPort } from "../../../builders.ts";

const network = { interfaceName: "orchd0", subnet: "10.210.1.0/24" };
const at = (last: number, port = aPort()) => ({ port, address: `10.210.1.${last}` });

/** The rules that send packets to tasks. */
function rules(...endpoints: ReturnType<typeof at>[]): string[] {
  const lines = formatIngress(endpoints, network).split("\n");
  return lines.filter((line) => line.includes(" dnat to ")).map((line) => line.trim());
}

describe("published ports", () => {
  test("of one task lead straight to it", () => {
    expect(rules(at(2))).toEqual([
      'tcp dport 8080 counter dnat to 10.210.1.2:80 comment "8080/tcp"',
    ]);
  });

  test("of several tasks are drawn by lot, in an order that does not depend on the input", () => {
    const expected = [
      "tcp dport 8080 counter dnat to numgen random mod 3 map " +
        '{ 0 : 10.210.1.2 . 80, 1 : 10.210.1.3 . 80, 2 : 10.210.1.4 . 80 } comment "8080/tcp"',
    ];
    expect(rules(at(4), at(2), at(3))).toEqual(expected);
    expect(rules(at(2), at(3), at(4))).toEqual(expected);
  });

  test("are told apart by number, protocol and the node's address", () => {
    const udp = aPort({ protocol: "udp" });
    const local = aPort({ hostIp: "127.0.0.1" });
    expect(rules(at(2), at(2, udp), at(3, local), at(4, aPort({ published: 81 })))).toEqual([
      'tcp dport 8080 counter dnat to 10.210.1.2:80 comment "8080/tcp"',
      'tcp dport 81 counter dnat to 10.210.1.4:80 comment "81/tcp"',
      'udp dport 8080 counter dnat to 10.210.1.2:80 comment "8080/udp"',
      'ip daddr 127.0.0.1 tcp dport 8080 counter dnat to 10.210.1.3:80 comment "8080/tcp"',
    ]);
  });
});

describe("the table", () => {
  test("is replaced as a whole, so that no packet sees half of it", () => {
    expect(formatIngress([at(2)], network)).toBe(`table ip orchd {}
delete table ip orchd
table ip orchd {
  chain published {
    tcp dport 8080 counter dnat to 10.210.1.2:80 comment "8080/tcp"
  }
  chain prerouting {
    type nat hook prerouting priority dstnat - 5; policy accept;
    fib daddr type local jump published
  }
  chain output {
    type nat hook output priority -105; policy accept;
    fib daddr type local jump published
  }
  chain postrouting {
    type nat hook postrouting priority srcnat - 5; policy accept;
    # A task has no route back to a loopback address, nor to itself through its node.
    oifname "orchd0" ip saddr 127.0.0.0/8 masquerade
    oifname "orchd0" ip saddr 10.210.1.0/24 ct status dnat masquerade
  }
}
`);
  });

  test("goes away when nothing is published", () => {
    expect(formatIngress([], network)).toBe("table ip orchd {}\ndelete table ip orchd\n");
  });
});
