import { describe, expect, test } from "bun:test";
import type { Message } from "../../../../src/core/gossip/messages.ts";
import { encodeMessage } from "../../../../src/core/gossip/wire/message.ts";
import { ackOf, addressOf, everybodyAcks, Machine } from "./machine.ts";

const QUIET = { pushPullIntervalMs: 1e9 };

/** Asks for a ping of another member. */
function ask(node: string, host: string): Message & { type: "indirectPing" } {
  return { type: "indirectPing", sequence: 9, target: { host, port: 1 }, node, wantsNack: true };
}

describe("probing", () => {
  test("comes to each member once in a round, in another order each round", () => {
    const machine = new Machine({ members: 9, tuning: QUIET });
    machine.run(32_500, everybodyAcks(machine));
    const order = machine.sent("ping").map(({ message }) => message.node);
    const rounds = [0, 8, 16].map((from) => order.slice(from, from + 8));
    for (const round of rounds) expect(new Set(round).size).toBe(8);
    expect(rounds[0]).not.toEqual(rounds[1]);
    expect(machine.membership.healthScore).toBe(0);
  });

  test("asks three others and the stream after the timeout, then suspects", () => {
    const machine = new Machine({ members: 9, tuning: QUIET });
    machine.run(1000);
    const [ping] = machine.sent("ping");
    const target = ping?.message.node ?? "";
    const pingedAt = machine.done.find(({ effect }) => effect.type === "sendPacket")?.at ?? 0;
    machine.run(pingedAt + 499);
    expect(machine.sent("indirectPing")).toEqual([]);
    machine.run(pingedAt + 501);
    const asked = machine.sent("indirectPing");
    expect(asked.length).toBe(3);
    expect(
      asked.every(({ to, message }) => to !== addressOf(target).host && message.node === target),
    ).toBe(true);
    expect(machine.effects("streamPing").map(({ to }) => to)).toEqual([addressOf(target)]);
    machine.run(pingedAt + 999);
    expect(machine.stateOf(target)).toBe("alive");
    machine.run(pingedAt + 1001);
    expect(machine.stateOf(target)).toBe("suspect");
  });

  test("an ack that was asked for through another is as good as a direct one", () => {
    const machine = new Machine({ tuning: QUIET });
    machine.run(1600, ({ node, messages }) => {
      for (const message of messages) {
        if (message.type === "indirectPing") machine.hear(node, ackOf(message.sequence));
      }
    });
    expect(machine.effects("changed")).toEqual([]);
  });

  test("an ack over the stream keeps a member from suspicion", () => {
    const machine = new Machine({ tuning: QUIET });
    machine.run(1500);
    const [{ ping } = { ping: undefined }] = machine.effects("streamPing");
    machine.give({ type: "streamAck", sequence: ping?.sequence ?? 0 });
    machine.run(2100);
    expect(machine.effects("changed")).toEqual([]);
  });

  test("an ack for nothing that was asked, or too late, does nothing", () => {
    const machine = new Machine({ tuning: QUIET });
    machine.hear("m2", ackOf(12345));
    machine.run(1000);
    const sequence = machine.sent("ping")[0]?.message.sequence ?? 0;
    machine.run(2200);
    machine.hear("m2", ackOf(sequence));
    expect(
      [...machine.membership.members()].filter(({ state }) => state === "suspect").length,
    ).toBe(1);
  });
});

describe("a member's own health", () => {
  const afterOneFailure = (nacks: number) => {
    const machine = new Machine({ tuning: { ...QUIET, probeTimeoutMs: 200 } });
    let heard = 0;
    machine.run(2000, ({ node, messages }) => {
      for (const message of messages) {
        if (message.type !== "indirectPing" || heard++ >= nacks) continue;
        machine.hear(node, { type: "nack", sequence: message.sequence });
      }
    });
    expect(machine.effects("changed").length).toBe(1);
    return machine.membership.healthScore;
  };

  test("gets worse with each nack that was missing, and not when all came", () => {
    expect([0, 1, 2, 3].map(afterOneFailure)).toEqual([3, 2, 1, 0]);
  });

  test("gives the next probes more time, and gets better with each ack", () => {
    const machine = new Machine({ members: 60, tuning: QUIET });
    machine.run(40_000);
    expect(machine.membership.healthScore).toBe(7);
    const pings = machine.sent("ping").length;
    machine.run(72_000);
    expect(machine.sent("ping").length - pings).toBe(4);
    machine.run(90_000, everybodyAcks(machine));
    expect(machine.membership.healthScore).toBe(0);
  });
});

describe("for others a member", () => {
  test("acks a ping to where it came from, whatever the ping says", () => {
    const machine = new Machine();
    const source = { address: { host: "192.0.2.66", port: 53 }, node: "m2" };
    machine.hear("m2", { type: "ping", sequence: 7, node: "m1", source });
    expect(machine.sent("ack").map(({ to }) => to)).toEqual([addressOf("m2").host]);
  });

  test("answers one ping of a packet, with no more bytes than a member's ping has", () => {
    const machine = new Machine();
    const ping = { type: "ping", sequence: 2 ** 32 - 1, node: "m1" } as const;
    const others = [ask("m3", "10.0.0.3"), ask("m4", "10.0.0.4")];
    machine.hear("m2", ...Array.from({ length: 500 }, () => ping), ...others);
    const [packet, ...more] = machine.effects("sendPacket");
    expect(more).toEqual([]);
    const [ack] = packet?.messages ?? [];
    const bytes = (message: Message | undefined) => message && encodeMessage(message).length;
    const source = { address: addressOf("m2"), node: "m2" };
    expect(bytes(ack)).toBeLessThanOrEqual(bytes({ ...ping, source }) ?? 0);
    expect(machine.effects("ignored").filter(({ why }) => why === "limit").length).toBe(501);
  });

  test("sends no gossip along to a stranger", () => {
    const machine = new Machine();
    machine.hear("m3", { type: "dead", node: "m2", incarnation: 1, from: "m3" });
    machine.hear("m77", { type: "ping", sequence: 7, node: "" });
    const [packet] = machine.effects("sendPacket");
    expect(packet?.messages.map(({ type }) => type)).toEqual(["ack"]);
  });

  test("does not answer for another name", () => {
    const machine = new Machine();
    machine.hear("m2", { type: "ping", sequence: 7, node: "m2" });
    expect(machine.sent("ack")).toEqual([]);
  });

  test("pings a member where it is known to be, and passes the ack on", () => {
    const machine = new Machine();
    machine.hear("m2", ask("m3", "192.0.2.1"));
    const [ping] = machine.sent("ping");
    expect(ping?.to).toBe(addressOf("m3").host);
    machine.hear("m3", ackOf(ping?.message.sequence ?? 0));
    expect(machine.sent("ack")).toMatchObject([
      { to: addressOf("m2").host, message: { sequence: 9 } },
    ]);
    machine.run(3000);
    expect(machine.sent("nack")).toEqual([]);
  });

  test("says after the timeout that no ack came", () => {
    const machine = new Machine();
    machine.hear("m2", ask("m3", "10.0.0.3"));
    machine.run(499);
    expect(machine.sent("nack")).toEqual([]);
    machine.run(501);
    expect(machine.sent("nack")).toMatchObject([
      { to: addressOf("m2").host, message: { sequence: 9 } },
    ]);
  });

  test("pings nobody whom it does not know", () => {
    const machine = new Machine();
    machine.hear("m2", ask("router", "192.168.1.1"));
    expect(machine.effects("sendPacket")).toEqual([]);
    expect(machine.effects("ignored").map(({ why }) => why)).toEqual(["stranger"]);
  });

  test("has so many pings for others under way and no more", () => {
    const machine = new Machine();
    for (let i = 0; i < 300; i++) machine.hear("m2", ask("m3", "10.0.0.3"));
    expect(machine.sent("ping").length).toBe(256);
  });
});
