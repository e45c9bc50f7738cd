import { describe, expect, test } from "bun:test";
import { put, remove } from "../../../src/model/change.ts";
import { aNode, anId, anUpgrade } from "../../builders.ts";
import { Rig } from "./rig.ts";

const N1 = anId<"node">("n1");
const N2 = anId<"node">("n2");
const N3 = anId<"node">("n3");

/** A rig with nodes n1, connected, and n2, of which nothing was heard yet. */
async function watching(): Promise<Rig> {
  const rig = new Rig();
  rig.health.start();
  await rig.commit(put.node(aNode("n1")), put.node(aNode("n2")));
  await rig.connect();
  return rig;
}

const healthOf = (rig: Rig, id = N1) => rig.disk.view.nodes.get(id)?.health;

async function say(rig: Rig, state: "alive" | "suspect" | "dead", nodeId = N1): Promise<void> {
  rig.health.noteMember(nodeId, state);
  await rig.pass(10);
}

describe("after a start of the server", () => {
  test("a node without a session is down after a while, and ready again with one", async () => {
    const rig = new Rig();
    await rig.commit(put.node(aNode("n1")));
    rig.health.start();
    await rig.pass(9900);
    expect(healthOf(rig)).toBe("ready");
    await rig.pass(200);
    expect(healthOf(rig)).toBe("down");
    await rig.connect();
    expect(healthOf(rig)).toBe("ready");
  });

  test("a node that gossip sees stays ready", async () => {
    const rig = await watching();
    await say(rig, "alive", N2);
    await rig.pass(20_000);
    expect(healthOf(rig, N2)).toBe("ready");
  });
});

describe("a node that restarts for an upgrade", () => {
  const trying = () => put.upgrade(anUpgrade({ nodes: [{ id: N1, state: "trying", since: 0 }] }));

  test("is not down meanwhile, and what runs there is not replaced", async () => {
    const rig = await watching();
    await say(rig, "alive");
    await rig.pass(20_000);
    await rig.commit(trying());
    await say(rig, "dead");
    await rig.pass(60_000);
    expect(healthOf(rig)).toBe("suspect");
    expect(rig.health.verdict(N1).reason).toContain("it restarts for an upgrade");
  });

  test("is down as soon as it is given up", async () => {
    const rig = await watching();
    await say(rig, "alive");
    await rig.pass(20_000);
    await rig.commit(trying());
    await say(rig, "dead");
    const known = rig.store.view().upgrade;
    if (known === undefined) throw new Error("there is an upgrade");
    const nodes = known.nodes.map((one) => ({ ...one, state: "failed" as const }));
    await rig.commit(put.upgrade({ ...known, nodes }));
    await rig.pass(100);
    expect(healthOf(rig)).toBe("down");
  });
});

describe("a node whose power is cut", () => {
  test("is suspect, then down in the moment in which gossip calls it dead", async () => {
    const rig = await watching();
    await say(rig, "alive");
    await rig.pass(20_000);
    await say(rig, "suspect");
    expect(healthOf(rig)).toBe("suspect");
    await rig.pass(2500);
    await say(rig, "dead");
    expect(healthOf(rig)).toBe("down");
    expect(rig.health.verdict(N1).reason).toBe(
      "gossip says that it is gone, and its session is silent",
    );
  });

  test("has no session any more: it says all that it did when it comes back", async () => {
    const rig = await watching();
    await rig.pass(20_000);
    await say(rig, "suspect");
    expect(rig.endedSessions).toEqual([]);
    await say(rig, "dead");
    expect(rig.endedSessions).toEqual([N1]);
    expect(rig.dispatcher.session(N1)).toBeUndefined();
  });

  test("is ready as soon as gossip sees it again", async () => {
    const rig = await watching();
    await rig.pass(20_000);
    await say(rig, "dead");
    expect(healthOf(rig)).toBe("down");
    await say(rig, "alive");
    expect(healthOf(rig)).toBe("ready");
  });
});

describe("a node that UDP does not reach", () => {
  test("stays ready, as its session answers when gossip doubts it", async () => {
    const rig = await watching();
    await rig.pass(20_000);
    rig.probe = () => new Promise((resolve) => rig.clock.after(50, () => resolve(true)));
    const seen: unknown[] = [];
    rig.store.watch(({ applied }) => applied.forEach(({ kind }) => seen.push(kind)));
    await say(rig, "suspect");
    await rig.pass(2500);
    await say(rig, "dead");
    await rig.pass(60_000);
    expect(healthOf(rig)).toBe("ready");
    // Suspected until the answer came, and ready ever after.
    expect(seen).toEqual(["node", "node"]);
  });

  test("is down 5 s after its session was lost", async () => {
    const rig = await watching();
    await rig.pass(20_000);
    rig.dispatcher.goodbye(N1);
    await rig.pass(100);
    expect(healthOf(rig)).toBe("suspect");
    await rig.pass(4800);
    expect(healthOf(rig)).toBe("suspect");
    await rig.pass(200);
    expect(healthOf(rig)).toBe("down");
  });
});

describe("a server that was paused itself", () => {
  test("gives every node time to be heard of again", async () => {
    const rig = await watching();
    await rig.pass(20_000);
    rig.clock.sleep(60_000);
    await say(rig, "dead");
    await rig.pass(5000);
    expect(healthOf(rig)).toBe("ready");
    await rig.pass(6000);
    expect(healthOf(rig)).toBe("down");
  });
});

describe("a server that hears none of two nodes any more", () => {
  async function deaf(): Promise<Rig> {
    const rig = await watching();
    // Its own machine, which it always hears.
    await rig.commit(put.node(aNode("n3", { roles: { server: true, agent: true } })));
    for (const id of [N1, N2, N3]) await say(rig, "alive", id);
    await rig.pass(20_000);
    for (const state of ["suspect", "dead"] as const) {
      for (const id of [N1, N2]) await say(rig, state, id);
    }
    return rig;
  }
  const both = (rig: Rig) => [healthOf(rig, N1), healthOf(rig, N2)];

  test("takes itself for cut off at first, and later both for gone", async () => {
    const rig = await deaf();
    await rig.pass(29_000);
    expect(both(rig)).toEqual(["suspect", "suspect"]);
    await rig.pass(2000);
    expect(both(rig)).toEqual(["down", "down"]);
  });

  test("knows as soon as one of them is heard that the other is gone", async () => {
    const rig = await deaf();
    await say(rig, "alive", N2);
    expect(both(rig)).toEqual(["down", "ready"]);
  });
});

describe("a server that still hears somebody, or never heard more than one", () => {
  /** The server's own machine is n3; of the others these are there. */
  async function fleet(...ids: (typeof N1)[]): Promise<Rig> {
    const rig = new Rig();
    rig.health.start();
    await rig.commit(put.node(aNode("n3", { roles: { server: true, agent: true } })));
    for (const id of ids) await rig.commit(put.node(aNode(id)));
    for (const id of [N3, ...ids]) await say(rig, "alive", id);
    await rig.pass(20_000);
    return rig;
  }
  const end = async (rig: Rig, id: typeof N1) => {
    for (const state of ["suspect", "dead"] as const) await say(rig, state, id);
  };

  test("takes one of its two nodes for gone in the moment in which gossip does", async () => {
    const rig = await fleet(N1, N2);
    await end(rig, N1);
    expect([healthOf(rig, N1), healthOf(rig, N2)]).toEqual(["down", "ready"]);
  });

  test("takes the second for gone at once as well, when the first is long down", async () => {
    const rig = await fleet(N1, N2);
    await end(rig, N1);
    await rig.pass(60_000);
    await end(rig, N2);
    expect(healthOf(rig, N2)).toBe("down");
  });

  test("takes its only node for gone at once: waiting would tell nothing more", async () => {
    const rig = await fleet(N1);
    await end(rig, N1);
    expect(healthOf(rig, N1)).toBe("down");
  });

  test("is not held up by a rumour about the others in the very moment", async () => {
    const rig = await fleet(N1, N2);
    await say(rig, "suspect", N1);
    await say(rig, "suspect", N2);
    await say(rig, "dead", N1);
    expect(healthOf(rig, N1)).toBe("suspect");
    await say(rig, "alive", N2);
    expect([healthOf(rig, N1), healthOf(rig, N2)]).toEqual(["down", "ready"]);
  });
});

for (const skewMs of [-86_400_000, 86_400_000]) {
  test(`whoever sets the clock by ${skewMs / 3_600_000} hours ends no node`, async () => {
    const rig = await watching();
    await say(rig, "alive");
    await rig.pass(20_000);
    rig.skewMs = skewMs;
    rig.probe = async () => true;
    await say(rig, "suspect");
    await rig.pass(1000);
    await say(rig, "dead");
    await rig.pass(60_000);
    expect(rig.health.verdict(N1).reason).toBe(
      "its session answers, though gossip says that it is gone: is UDP blocked",
    );
    expect(healthOf(rig)).toBe("ready");
  });
}

test("only changes of health are written", async () => {
  const rig = await watching();
  await say(rig, "alive");
  await rig.pass(20_000);
  const { version } = rig.disk.view;
  await say(rig, "alive");
  rig.health.noteHeard(N1);
  rig.health.forgetMember(N1);
  await rig.pass(60_000);
  expect(rig.disk.view.version).toBe(version);
});

test("nothing is kept of what is no node, or none any more", async () => {
  const rig = await watching();
  for (let i = 0; i < 100; i++) {
    rig.health.noteMember(anId(`m${i}`), "alive");
    rig.health.forgetMember(anId(`f${i}`));
  }
  const node = rig.store.view().nodes.get(N1);
  if (node !== undefined) await rig.commit(remove.node(node));
  rig.dispatcher.goodbye(N1);
  await say(rig, "dead");
  expect(rig.health.known).toBe(1);
});

test("what the disk refused is written when it can be", async () => {
  const rig = await watching();
  await rig.pass(20_000);
  rig.diskIsFull = true;
  await say(rig, "dead");
  await rig.pass(3000);
  expect(healthOf(rig)).toBe("ready");
  rig.diskIsFull = false;
  await rig.pass(2000);
  expect(healthOf(rig)).toBe("down");
});

test("nothing is known of a node that was removed and is another's name again", async () => {
  const rig = await watching();
  await rig.pass(20_000);
  await say(rig, "dead");
  const node = rig.disk.view.nodes.get(N1);
  if (node === undefined) throw new Error("n1 is there");
  await rig.commit(remove.node(node));
  await rig.commit(put.node(aNode("n1")));
  expect(rig.health.verdict(N1)).toMatchObject({ health: "ready" });
});

test("a node that gossip sees is out of touch without a session for 15 s", async () => {
  const rig = await watching();
  await say(rig, "alive");
  rig.dispatcher.goodbye(N1);
  await rig.pass(14_900);
  expect(rig.health.isOutOfTouch(N1)).toBe(false);
  await rig.pass(200);
  expect(rig.health.isOutOfTouch(N1)).toBe(true);
  expect(healthOf(rig)).toBe("ready");
  await rig.connect();
  expect(rig.health.isOutOfTouch(N1)).toBe(false);
});
