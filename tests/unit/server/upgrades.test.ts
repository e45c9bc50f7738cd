import { describe, expect, test } from "bun:test";
import { messageOf, OrchdError } from "../../../src/lib/errors.ts";
import { silentLog } from "../../../src/lib/log.ts";
import { seededRandom } from "../../../src/lib/random.ts";
import { put } from "../../../src/model/change.ts";
import type { NodeId } from "../../../src/model/ids.ts";
import type { Node } from "../../../src/model/node.ts";
import { upgradeRequestSchema } from "../../../src/model/upgrade.ts";
import type { ImageStore } from "../../../src/images/image-store.ts";
import { Upgrades } from "../../../src/server/upgrades/upgrades.ts";
import { settled, VirtualClock } from "../../sim/virtual-clock.ts";
import { aNode } from "../../builders.ts";
import { FakeAgent, MemoryStore } from "../api/fixture.ts";
import { withStore } from "../images/rig.ts";

/** An executable for amd64 as far as anybody looks who does not run it. */
function anExecutable(version: string, protocol = 1): Uint8Array {
  const head = new Uint8Array(64);
  head.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  head[18] = 62;
  const built = `commit=c;platform=linux/amd64;protocol=${protocol}`;
  const mark = `orchd-build:version=${version};${built};end`;
  return new Uint8Array([...head, ...new TextEncoder().encode(mark)]);
}

async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 30) yield bytes.subarray(at, at + 30);
}

class Site {
  readonly store = new MemoryStore();
  readonly clock = new VirtualClock(0);
  readonly agents = [new FakeAgent("n1"), new FakeAgent("n2")];
  readonly away = new Set<NodeId>();
  loneServer: string | undefined;
  readonly #images: ImageStore;
  upgrades: Upgrades;

  constructor(images: ImageStore) {
    this.#images = images;
    this.upgrades = this.#newUpgrades();
  }

  static async with(images: ImageStore): Promise<Site> {
    const site = new Site(images);
    for (const name of ["n1", "n2"]) {
      const node = aNode(name, { orchdVersion: "1.0.0", executable: {} });
      await site.store.commit([put.node(node)]);
    }
    site.upgrades.start();
    return site;
  }

  get people() {
    return this.upgrades.forPeople();
  }

  /** The server begins a new life. */
  restart(): void {
    this.upgrades.close();
    this.upgrades = this.#newUpgrades();
    this.upgrades.start();
  }

  begin(request: Record<string, unknown> = {}): Promise<void> {
    return this.people.begin(upgradeRequestSchema.parse(request));
  }

  /** Which agents were told of which version. */
  told(): string[] {
    return this.agents.flatMap(({ nodeId, orders }) =>
      orders.map(({ version }) => `${this.#nameOf(nodeId)} ${version}`),
    );
  }

  states(): string[] {
    const { upgrade } = this.store.view();
    return (upgrade?.nodes ?? []).map(({ id, state }) => `${this.#nameOf(id)} ${state}`);
  }

  #nameOf(id: NodeId): string {
    return this.store.view().nodes.get(id)?.hostname ?? "";
  }

  /** A node says how its trial ended. */
  async end(at: number, outcome: "kept" | "reverted"): Promise<void> {
    const node = this.store.view().nodes.get(aNode(`n${at}`).id);
    const run = this.store.view().upgrade?.run;
    if (node === undefined || run === undefined) throw new Error("there is no such node");
    const news: Partial<Node> = {
      ...(outcome === "kept" ? { orchdVersion: "2.0.0" } : {}),
      executable: { last: { id: run, outcome, ...(outcome === "kept" ? {} : { reason: "why" }) } },
    };
    await this.store.commit([put.node({ ...node, ...news })]);
    await settled();
  }

  #newUpgrades(): Upgrades {
    return new Upgrades({
      store: this.store,
      images: this.#images,
      clock: this.clock,
      random: seededRandom("upgrades"),
      log: silentLog,
      versionOfLoneServer: () => this.loneServer,
      session: (id) => this.agents.find(({ nodeId }) => nodeId === id && !this.away.has(nodeId)),
    });
  }
}

const withSite = (run: (site: Site) => Promise<void>) =>
  withStore(async (images) => run(await Site.with(images)));

describe("executables", () => {
  test("are kept by what they say of themselves", () =>
    withSite(async ({ people }) => {
      const kept = await people.receive(inPieces(anExecutable("2.0.0")));
      expect(kept).toMatchObject({ version: "2.0.0", platform: "linux/amd64" });
      expect(await people.receive(inPieces(anExecutable("2.0.0")))).toEqual(kept);
      expect(await people.executables()).toEqual([kept]);
    }));

  test("that are none of orchd are refused, and nothing of them stays", () =>
    withStore(async (images) => {
      const { people } = await Site.with(images);
      const cut = anExecutable("2.0.0").subarray(0, 60);
      const refused = people.receive(inPieces(cut)).catch((thrown: unknown) => thrown);
      expect(await refused).toMatchObject({ code: "invalid" });
      expect(await people.executables()).toEqual([]);
      expect(await images.blobs.list()).toEqual([]);
    }));
});

describe("an upgrade", () => {
  test("tells one node after the other, each when the one before runs it", () =>
    withSite(async (site) => {
      const { digest, sizeBytes } = await site.people.receive(inPieces(anExecutable("2.0.0")));
      await site.begin();
      await settled();
      expect(site.told()).toEqual(["n1 2.0.0"]);
      expect(site.agents[0]?.orders[0]).toMatchObject({ digest, sizeBytes, withinMs: 120_000 });
      expect(site.states()).toEqual(["n1 trying", "n2 waiting"]);
      await site.end(1, "kept");
      await site.end(2, "kept");
      expect(site.told()).toEqual(["n1 2.0.0", "n2 2.0.0"]);
      expect(site.store.view().upgrade?.state).toBe("done");
    }));

  test("goes on where it was after the server's own restart", () =>
    withSite(async (site) => {
      await site.people.receive(inPieces(anExecutable("2.0.0")));
      await site.begin();
      await settled();
      site.restart();
      await settled();
      expect(site.told()).toEqual(["n1 2.0.0"]);
      await site.end(1, "kept");
      expect(site.told()).toEqual(["n1 2.0.0", "n2 2.0.0"]);
    }));

  test("ends when a node goes back, and a second try takes the node anew", () =>
    withSite(async (site) => {
      await site.people.receive(inPieces(anExecutable("2.0.0")));
      await site.begin();
      await settled();
      await site.end(1, "reverted");
      expect(site.store.view().upgrade).toMatchObject({ state: "failed" });
      expect(site.told()).toEqual(["n1 2.0.0"]);
      await site.begin();
      await settled();
      expect(site.told()).toEqual(["n1 2.0.0", "n1 2.0.0"]);
    }));

  test("waits for a node that can't do it now, and gives up on one that can't at all", () =>
    withSite(async (site) => {
      await site.people.receive(inPieces(anExecutable("2.0.0")));
      const [agent] = site.agents;
      if (agent === undefined) throw new Error("there is an agent");
      agent.failure = new OrchdError("noSpace", "the disk is full", { retryable: true });
      await site.begin({ parallel: 2 });
      await settled();
      expect(site.states()).toEqual(["n1 waiting", "n2 trying"]);
      agent.failure = new OrchdError("invalid", "it does not run here");
      await site.clock.step(10_000);
      await settled();
      expect(site.states()).toEqual(["n1 failed", "n2 trying"]);
      expect(site.store.view().upgrade).toMatchObject({
        state: "failed",
        nodes: [{ problem: "it does not run here" }, {}],
      });
    }));

  test("takes a node that was away when its session begins", () =>
    withSite(async (site) => {
      await site.people.receive(inPieces(anExecutable("2.0.0")));
      site.away.add(aNode("n1").id);
      await site.begin();
      await settled();
      expect(site.told()).toEqual(["n2 2.0.0"]);
      await site.end(2, "kept");
      expect(site.store.view().upgrade?.state).toBe("running");
      site.away.clear();
      site.upgrades.look();
      await settled();
      expect(site.told()).toEqual(["n1 2.0.0", "n2 2.0.0"]);
    }));

  test("is refused while another one is under way, and can be canceled", () =>
    withSite(async (site) => {
      await site.people.receive(inPieces(anExecutable("2.0.0")));
      await site.begin();
      await settled();
      const again: unknown = await site.begin().catch((thrown: unknown) => thrown);
      expect(again).toMatchObject({ code: "conflict" });
      await site.people.cancel();
      await site.end(1, "kept");
      expect(site.told()).toEqual(["n1 2.0.0"]);
      expect(site.store.view().upgrade).toMatchObject({ state: "canceled" });
      const none: unknown = await site.people.cancel().catch((thrown: unknown) => thrown);
      expect(none).toMatchObject({ code: "conflict" });
    }));

  test("is refused where the server has to be first and has no agent that could be told", () =>
    withSite(async (site) => {
      site.loneServer = "1.0.0";
      await site.people.receive(inPieces(anExecutable("3.0.0", 2)));
      expect(await site.begin().catch(messageOf)).toContain("since it runs with --no-agent");
      await site.people.receive(inPieces(anExecutable("3.1.0")));
      await site.begin({ to: "3.1.0" });
      await settled();
      expect(site.told()).toEqual(["n1 3.1.0"]);
    }));
});
