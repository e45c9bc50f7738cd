import { describe, expect, test } from "bun:test";
import {
  nodeHealthOf,
  unlessCutOff,
  type HealthInput,
  type MemberNews,
  type SessionNews,
} from "../../../../src/core/reconcile/node-health.ts";

const NOW = 100_000;
const ago = (seconds: number) => NOW - seconds * 1000;
const alive: MemberNews = { state: "alive", since: 0, doubtedSince: 0 };
const suspected = (since: number): MemberNews => ({ state: "suspect", since, doubtedSince: since });
const dead = (since: number, doubtedSince = since): MemberNews => {
  return { state: "dead", since, doubtedSince };
};
const connected = (heardAt: number): SessionNews => ({ state: "connected", since: 0, heardAt });
const lost = (since: number, heardAt = since): SessionNews => ({ state: "lost", since, heardAt });
const never = (since = 0): SessionNews => ({ state: "never", since });

function health(
  member: MemberNews | undefined,
  session: SessionNews,
  over: Partial<HealthInput> = {},
): string {
  const known = { graceUntil: 0, health: "ready", now: NOW } as const;
  const verdict = nodeHealthOf({ member, session, ...known, ...over });
  const wait = verdict.wakeAt === undefined ? "" : `, look in ${(verdict.wakeAt - NOW) / 1000} s`;
  return `${verdict.health}: ${verdict.reason}${wait}`;
}

describe("a node that gossip sees is ready", () => {
  const cases: [string, SessionNews, string][] = [
    ["with a session", connected(ago(1)), "ready: gossip sees it, and its session is connected"],
    ["without one", lost(ago(60)), "ready: gossip sees it, but its session is lost for 60 s"],
    [
      "that had none yet",
      never(),
      "ready: gossip sees it, but it has had no session since this server started",
    ],
  ];
  for (const [what, session, expected] of cases) {
    test(what, () => expect(health(alive, session)).toBe(expected));
  }
});

describe("a node that gossip suspects", () => {
  test("is suspect while its session has said nothing since", () => {
    const told = "suspect: gossip suspects for 2 s that it is gone";
    expect(health(suspected(ago(2)), connected(ago(3)))).toBe(told);
    expect(health(suspected(ago(2)), lost(ago(3)))).toBe(told);
  });

  test("is ready when its session answered since", () => {
    expect(health(suspected(ago(2)), connected(ago(1)))).toBe(
      "ready: its session answers, though gossip suspects that it is gone",
    );
  });
});

describe("a node that gossip calls dead", () => {
  test("is down at once when its session was silent from the first doubt on", () => {
    const told = "down: gossip says that it is gone, and its session is silent";
    expect(health(dead(ago(0), ago(2)), connected(ago(2.5)))).toBe(told);
    expect(health(dead(ago(0), ago(2)), lost(ago(1), ago(2.5)))).toBe(told);
    expect(health(dead(ago(0), ago(2)), never())).toBe(told);
  });

  test("is ready while its session is heard, as where UDP is blocked", () => {
    expect(health(dead(ago(60), ago(62)), connected(ago(4)))).toBe(
      "ready: its session answers, though gossip says that it is gone: is UDP blocked",
    );
  });

  test("is asked once more when its session was last heard while gossip still doubted", () => {
    const asked = "ready: gossip says that it is gone; its session is asked, look in 0.5 s";
    expect(health(dead(ago(0.5), ago(3)), connected(ago(2)))).toBe(asked);
    const silent = "down: gossip says that it is gone, and its session does not answer";
    expect(health(dead(ago(1), ago(3)), connected(ago(2)))).toBe(silent);
  });

  test("goes by its session alone once that showed that gossip is wrong about it", () => {
    const news = dead(ago(60), ago(62));
    expect(health(news, lost(ago(2), ago(17)))).toBe(
      "suspect: gossip says that it is gone, and its session is lost for 2 s, look in 3 s",
    );
    expect(health(news, lost(ago(5), ago(20)))).toStartWith("down: ");
  });

  test("of its own will is down as well", () => {
    const left: MemberNews = { state: "left", since: ago(1), doubtedSince: ago(1) };
    expect(health(left, lost(ago(2)))).toBe("down: it left gossip, and its session is silent");
  });
});

describe("a node that gossip does not know", () => {
  test("goes by its session: suspect at once when that is lost, down 5 s later", () => {
    expect(health(undefined, connected(ago(14)))).toBe("ready: its session is connected");
    const told = "suspect: its session is lost for 0 ms, look in 5 s";
    expect(health(undefined, lost(ago(0)))).toBe(told);
    expect(health(undefined, lost(ago(5)))).toBe("down: its session is lost for 5 s");
  });

  test("is what it was for 10 s, and down when it has not said hello by then", () => {
    const told = "ready: nothing has been heard of it yet, look in 4 s";
    expect(health(undefined, never(ago(6)))).toBe(told);
    expect(health(undefined, never(ago(10)))).toBe("down: nothing has been heard of it yet");
  });
});

describe("a server that has just started, or was paused", () => {
  const grace = { graceUntil: NOW + 7000 };

  test("takes nobody for worse than before", () => {
    const told = "this server has not been up long enough to tell that it is gone, look in 7 s";
    expect(health(dead(ago(0), ago(2)), never(), grace)).toBe(`ready: ${told}`);
    expect(health(suspected(ago(1)), never(), { ...grace, health: "suspect" })).toStartWith(
      "suspect: gossip",
    );
  });

  test("takes who is heard of for better", () => {
    const over = { ...grace, health: "down" } as const;
    expect(health(undefined, connected(NOW), over)).toStartWith("ready: ");
  });
});

describe("a server that hears none of its nodes any more", () => {
  const down = { health: "down", reason: "it left gossip, and its session is silent" } as const;
  const held = (silentSince: number | undefined, before: "ready" | "down" = "ready") => {
    return unlessCutOff(down, silentSince, { health: before, now: NOW });
  };

  test("suspects them for 30 s, as it may be cut off itself", () => {
    expect(held(ago(10))).toEqual({
      health: "suspect",
      reason: `${down.reason}; but no other node is heard either, as if this server were cut off`,
      wakeAt: NOW + 20_000,
    });
  });

  test("takes them for gone after that, and at once where one of them is heard", () => {
    expect(held(ago(30))).toBe(down);
    expect(held(undefined)).toBe(down);
  });

  test("has no second thoughts about one that was down before", () => {
    expect(held(ago(10), "down")).toBe(down);
  });
});
