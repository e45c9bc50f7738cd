import { describe, expect, test } from "bun:test";
import {
  Reachability,
  whatIsBlocked,
  type GossipPings,
  type TcpAnswer,
} from "../../../src/agent/reachability.ts";
import { OrchdError } from "../../../src/lib/errors.ts";
import { until } from "../../conformance/runtime-until.ts";
import { TestClock } from "../api/fixture.ts";

const PEER = "10.99.0.1:7946";

describe("which ports of gossip are blocked", () => {
  const found = (tcp: TcpAnswer, acks: number) =>
    whatIsBlocked({ peer: PEER, tcp, probes: 3, acks }).join("\n");

  test("is none when both answer", () => {
    expect(found("answered", 1)).toBe("");
  });

  test("is UDP when only TCP answers, and says after how many probes", () => {
    expect(found("answered", 0)).toStartWith(
      "7946/udp to 10.99.0.1 is blocked: no answer to 3 probes, while 7946/tcp answers",
    );
  });

  test("is TCP when only UDP answers, dropped or refused", () => {
    expect(found("silent", 1)).toStartWith(
      "7946/tcp to 10.99.0.1 is blocked: no answer to a connection, while 7946/udp answers",
    );
    expect(found("refused", 1)).toContain("is blocked: connections are refused, while 7946/udp");
  });

  test("is both when neither answers, though the server does", () => {
    expect(found("silent", 0)).toStartWith("7946/tcp and 7946/udp to 10.99.0.1 are blocked");
    expect(found("refused", 0)).toStartWith("nothing takes gossip on port 7946 of 10.99.0.1");
  });

  test("tells a stranger on the port from a firewall", () => {
    expect(found("foreign", 0)).toContain("is answered by something that is no member");
  });
});

/** A way that a test opens and closes. */
function aWay() {
  const way = { udp: true, tcp: true, looks: 0, isConnected: true };
  const pings: GossipPings = {
    packet: async () => way.udp,
    async stream() {
      way.looks += 1;
      if (!way.tcp) throw new OrchdError("timedOut", "no answer");
    },
  };
  const clock = new TestClock();
  const told: string[][] = [];
  const logged: string[] = [];
  const log = (line: string) => void logged.push(line);
  const reachability = new Reachability({
    pings,
    clock,
    log: { info: log, warn: log, error: log },
    isConnected: () => way.isConnected,
    onChange: (notes) => void told.push(notes),
  });
  const settled = () => until("the look to be over", () => clock.waiting > 0);
  const lookAgain = async () => {
    clock.advance(300_000);
    await settled();
  };
  return { way, reachability, told, logged, settled, lookAgain };
}

describe("the way to the server's member", () => {
  test("is told of once for each change, when it was found twice", async () => {
    const { way, reachability, told, logged, settled, lookAgain } = aWay();
    reachability.watch(PEER);
    await settled();
    expect(told).toEqual([]);
    way.udp = false;
    await lookAgain();
    expect(told).toEqual([]);
    await lookAgain();
    await lookAgain();
    expect(told).toHaveLength(1);
    expect(logged).toEqual(told[0] ?? []);
    way.udp = true;
    await lookAgain();
    await lookAgain();
    expect(told[1]).toEqual([]);
    expect(logged.at(-1)).toBe("gossip gets through to the server");
    reachability.stop();
  });

  test("says nothing of a port while the server itself can't be reached", async () => {
    const { way, reachability, told, settled, lookAgain } = aWay();
    Object.assign(way, { udp: false, tcp: false, isConnected: false });
    reachability.watch(PEER);
    await settled();
    for (let looks = 0; looks < 3; looks++) await lookAgain();
    expect(told).toEqual([]);
    reachability.stop();
  });

  test("does not take one lost probe for a firewall", async () => {
    const { way, reachability, told, settled, lookAgain } = aWay();
    way.udp = false;
    reachability.watch(PEER);
    await settled();
    way.udp = true;
    await lookAgain();
    await lookAgain();
    expect(told).toEqual([]);
    reachability.stop();
  });
});
