import { describe, expect, test } from "bun:test";
import {
  ASK_AGAIN_MS,
  MARGIN_MS,
  stepUpgrade,
  withRefusal,
  withTrying,
} from "../../../../src/core/upgrade/step.ts";
import { randomBelow, seededRandom } from "../../../../src/lib/random.ts";
import type { NodeId } from "../../../../src/model/ids.ts";
import type { Node } from "../../../../src/model/node.ts";
import type { Upgrade } from "../../../../src/model/upgrade.ts";
import { aNode, anUpgrade } from "../../../builders.ts";

const DIGEST = `sha256:${"2".repeat(64)}`;
const WITHIN_MS = 60_000;

/** A cluster as an upgrade sees it; time passes as a test says. */
class World {
  readonly nodes = new Map<NodeId, Node>();
  readonly away = new Set<NodeId>();
  readonly calling = new Set<NodeId>();
  upgrade: Upgrade;
  now = 1000;

  constructor(names: string[], plan: Partial<Upgrade> = {}) {
    for (const name of names) {
      const roles = { server: name.startsWith("s"), agent: true };
      const node = aNode(name, { orchdVersion: "1.0.0", executable: {}, roles });
      this.nodes.set(node.id, node);
    }
    const nodes = [...this.nodes.keys()].map((id) => ({ id, state: "waiting" as const, since: 0 }));
    const executable = { version: "2.0.0", platform: "linux/amd64", digest: DIGEST, sizeBytes: 9 };
    const base = { withinMs: WITHIN_MS, executables: [executable], nodes };
    this.upgrade = anUpgrade({ ...base, ...plan });
  }

  /** Looks once; answers the names of those who are told. */
  step(): string[] {
    const { upgrade, tell } = stepUpgrade(
      this.upgrade,
      {
        node: (id) => this.nodes.get(id),
        isConnected: (id) => !this.away.has(id),
        isCalling: (id) => this.calling.has(id),
      },
      this.now,
    );
    this.upgrade = upgrade;
    for (const id of tell) this.calling.add(id);
    return tell.map((id) => this.nodes.get(id)?.hostname ?? "");
  }

  id(name: string): NodeId {
    return aNode(name).id;
  }

  /** The node has it, and restarts. */
  ready(name: string): void {
    this.calling.delete(this.id(name));
    this.upgrade = withTrying(this.upgrade, this.id(name), this.now);
  }

  refuse(name: string, problem: string, retryable: boolean): void {
    this.calling.delete(this.id(name));
    this.upgrade = withRefusal(this.upgrade, this.id(name), { problem, retryable }, this.now);
  }

  /** The node says how its trial ended. */
  end(name: string, outcome: "kept" | "reverted", run = "u1"): void {
    const isKept = outcome === "kept";
    const reason = isKept ? {} : { reason: "it hung" };
    const last = { id: run, outcome, ...reason };
    this.tell(name, {
      orchdVersion: isKept ? "2.0.0" : "1.0.0",
      executable: { last, ...(isKept ? { digest: DIGEST } : {}) },
    });
  }

  tell(name: string, news: Partial<Node>): void {
    const node = aNode(name, this.nodes.get(this.id(name)));
    this.nodes.set(node.id, { ...node, ...news });
  }

  /** `h1 done`, node by node. */
  states(): string[] {
    return this.upgrade.nodes.map(
      ({ id, state }) => `${this.nodes.get(id)?.hostname ?? ""} ${state}`,
    );
  }
}

describe("an upgrade", () => {
  test("takes one node after the other, servers last", () => {
    const world = new World(["s1", "h1", "h2"]);
    for (const name of ["h1", "h2", "s1"]) {
      expect(world.step()).toEqual([name]);
      expect(world.step()).toEqual([]);
      world.ready(name);
      expect(world.step()).toEqual([]);
      world.end(name, "kept");
    }
    expect(world.step()).toEqual([]);
    expect(world.upgrade).toMatchObject({ state: "done", endedAt: 1000 });
    expect(world.states()).toEqual(["s1 done", "h1 done", "h2 done"]);
  });

  test("takes servers first where they have to understand the others", () => {
    const world = new World(["h1", "s1"], { order: "serversFirst", parallel: 2 });
    expect(world.step()).toEqual(["s1"]);
    world.ready("s1");
    expect(world.step()).toEqual([]);
    world.end("s1", "kept");
    expect(world.step()).toEqual(["h1"]);
  });

  test("takes as many at once as it was told, of one kind", () => {
    const world = new World(["h1", "h2", "h3", "s1"], { parallel: 2 });
    expect(world.step()).toEqual(["h1", "h2"]);
    world.ready("h1");
    world.end("h1", "kept");
    expect(world.step()).toEqual(["h3"]);
  });

  test("waits for a node that is on trial", () => {
    const world = new World(["h1", "h2"]);
    world.step();
    world.ready("h1");
    world.tell("h1", { orchdVersion: "2.0.0", executable: { digest: DIGEST, isTrial: true } });
    expect(world.step()).toEqual([]);
    expect(world.states()).toEqual(["h1 trying", "h2 waiting"]);
  });

  test("ends with the first node that goes back, and says why", () => {
    const world = new World(["h1", "h2"]);
    world.step();
    world.ready("h1");
    world.end("h1", "reverted");
    expect(world.step()).toEqual([]);
    expect(world.upgrade.state).toBe("failed");
    expect(world.upgrade.nodes[0]).toMatchObject({ state: "failed", problem: "it hung" });
    expect(world.states()[1]).toBe("h2 waiting");
  });

  test("ends with a node that refuses", () => {
    const world = new World(["h1", "h2"]);
    world.step();
    world.refuse("h1", "it does not run here", false);
    world.step();
    expect(world.upgrade).toMatchObject({ state: "failed" });
  });

  test("asks a node again that could not do it now", () => {
    const world = new World(["h1"]);
    world.step();
    world.refuse("h1", "the disk is full", true);
    expect(world.step()).toEqual([]);
    world.now += ASK_AGAIN_MS;
    expect(world.step()).toEqual(["h1"]);
  });

  test("ends with a node that does not come back in time", () => {
    const world = new World(["h1", "h2"]);
    world.step();
    world.ready("h1");
    world.away.add(world.id("h1"));
    world.now += WITHIN_MS + MARGIN_MS - 1;
    expect(world.step()).toEqual([]);
    expect(world.upgrade.state).toBe("running");
    world.now += 1;
    expect(world.step()).toEqual([]);
    expect(world.upgrade.state).toBe("failed");
  });

  test("goes on without nodes that are away, and takes them when they are back", () => {
    const world = new World(["h1", "h2", "s1"]);
    world.away.add(world.id("h1"));
    for (const name of ["h2", "s1"]) {
      expect(world.step()).toEqual([name]);
      world.ready(name);
      world.end(name, "kept");
    }
    expect(world.step()).toEqual([]);
    expect(world.upgrade.state).toBe("running");
    world.away.delete(world.id("h1"));
    expect(world.step()).toEqual(["h1"]);
  });

  test("leaves out nodes that were removed, and those that run it already or a later one", () => {
    const world = new World(["h1", "h2", "h3"]);
    world.nodes.delete(world.id("h1"));
    world.tell("h2", { orchdVersion: "2.0.0" });
    world.tell("h3", { orchdVersion: "2.1.0" });
    expect(world.step()).toEqual([]);
    expect(world.states()).toEqual(["h2 done", "h3 done"]);
    expect(world.upgrade.state).toBe("done");
  });

  test("that was canceled tells nobody, and hears those that it told", () => {
    const world = new World(["h1", "h2"]);
    world.step();
    world.ready("h1");
    world.upgrade = { ...world.upgrade, state: "canceled" };
    world.end("h1", "kept");
    expect(world.step()).toEqual([]);
    expect(world.states()).toEqual(["h1 done", "h2 waiting"]);
  });

  test("does not take the end of an earlier one for its own", () => {
    const world = new World(["h1"]);
    world.end("h1", "reverted", "u0");
    expect(world.step()).toEqual(["h1"]);
  });

  test("tells a node again whose answer was lost with the server's own restart", () => {
    const world = new World(["h1"]);
    world.step();
    world.calling.clear();
    expect(world.step()).toEqual([]);
    world.now += ASK_AGAIN_MS;
    expect(world.step()).toEqual(["h1"]);
    expect(world.states()).toEqual(["h1 preparing"]);
  });
});

test("whatever happens, no more nodes are at it than were allowed, none after a failure", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = seededRandom(`upgrade/${seed}`);
    const below = (count: number) => randomBelow(random, count);
    const names = ["s1", "s2", "h1", "h2", "h3", "h4"].slice(below(3), 4 + below(3));
    const parallel = 1 + below(3);
    const world = new World(names, { parallel });
    for (let i = 0; i < 60; i++) {
      const before = world.upgrade.state;
      const told = world.step();
      const isOver = before !== "running" || world.upgrade.state !== "running";
      if (isOver) expect({ seed, told }).toEqual({ seed, told: [] });
      const busy = world.upgrade.nodes.filter(({ state }) => /preparing|trying/.test(state));
      expect({ seed, isIn: busy.length <= parallel }).toEqual({ seed, isIn: true });
      const name = names[below(names.length)] ?? "h1";
      const id = world.id(name);
      const isTold = world.calling.has(id);
      const isTrying = world.states().includes(`${name} trying`);
      world.now += below(20_000);
      const act = below(6);
      if (act === 0) world.away.add(id);
      else if (act === 1) world.away.delete(id);
      else if (isTold && act < 5) world.ready(name);
      else if (isTold) world.refuse(name, "it can't", below(8) > 0);
      else if (isTrying) world.end(name, below(10) === 0 ? "reverted" : "kept");
    }
  }
});
