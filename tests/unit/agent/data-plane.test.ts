import { describe, expect, test } from "bun:test";
import { DataPlane, type PlaneKernel } from "../../../src/agent/data-plane.ts";
import { HeldPorts } from "../../../src/agent/held-ports.ts";
import { OrchdError } from "../../../src/lib/errors.ts";
import type { NetworkMap } from "../../../src/model/network-map.ts";
import { aMap, aMapNode, aMapService, aMapTask, anId, aPort } from "../../builders.ts";
import { settled, VirtualClock } from "../../sim/virtual-clock.ts";

const services = [
  aMapService("web", { virtualIp: "10.210.240.1", ports: [aPort({ published: 8080 })] }),
];
const EMPTY = aMap({ services });
const READY = aMap({ services, tasks: [aMapTask("t1")] });

/** A kernel that remembers what it was asked for, and fails when the test says so. */
class KernelAsked implements PlaneKernel {
  scripts: string[] = [];
  links: NetworkMap[] = [];
  forgotten: string[] = [];
  trouble: Error | undefined;
  hasTable = true;
  isSilent = false;
  looks = 0;
  news: { links: boolean; foreign: number | undefined } = { links: false, foreign: 0 };
  #untold = 0;

  readUnderlay = async () => ({ device: "eth0", mtu: 1500, isOwn: true });
  hasRules = async () => this.hasTable;
  counters = async () => new Map([["tcp_8080", 7]]);
  foreignFirewalls = async () => [];
  close = () => {};
  ring = () => {};
  listen = async (onChange: () => void) => void (this.ring = onChange);
  remove = async () => void this.scripts.push("gone");

  async setLinks(map: NetworkMap) {
    if (this.trouble !== undefined) throw this.trouble;
    this.links.push(map);
    return { problems: [], isFiltered: true, isTight: false };
  }

  async setRules(script: string) {
    if (this.trouble !== undefined) throw this.trouble;
    this.scripts.push(script);
    this.#untold++;
  }

  async forgetFlows({ addresses }: { addresses: ReadonlySet<string> }) {
    this.forgotten.push(...addresses);
  }

  async look() {
    this.looks++;
    if (this.isSilent) throw new Error("no netlink");
    const { links, foreign } = this.news;
    this.news = { links: false, foreign: 0 };
    const transactions = foreign === undefined ? undefined : this.#untold + foreign;
    this.#untold = 0;
    return { links, transactions };
  }
}

function aPlane(first = EMPTY) {
  const clock = new VirtualClock(0);
  const kernel = new KernelAsked();
  const said: string[] = [];
  const notes: string[][] = [];
  const taken = new Set<number>();
  const world = { map: first, onChange: () => {} };
  const say = (text: string) => void said.push(text);
  const ports = new HeldPorts({
    async claim({ published }) {
      if (taken.has(published)) throw new OrchdError("conflict", `port ${published} is in use`);
    },
    keep: async () => {},
  });
  const plane = new DataPlane({
    nodeId: anId("n1"),
    bridge: "orchd0",
    source: {
      current: () => world.map,
      subscribe: (listener) => {
        world.onChange = listener;
        return () => {};
      },
    },
    kernel,
    ports,
    clock,
    log: { info: say, warn: say, error: say },
    onNotes: (list) => void notes.push(list),
  });
  const pass = async (ms: number) => {
    await settled();
    const until = clock.now() + ms;
    while (await clock.step(until));
  };
  const become = async (map: NetworkMap) => {
    world.map = map;
    world.onChange();
    await settled();
  };
  return { plane, kernel, said, notes, taken, pass, become };
}

describe("the data plane", () => {
  test("makes the whole table first, and then changes what differs alone", async () => {
    const { kernel, become } = aPlane();
    await become(EMPTY);
    await become(READY);
    expect(kernel.scripts).toHaveLength(2);
    expect(kernel.scripts[0]).toStartWith("table ip orchd {}\ndelete table ip orchd\n");
    expect(kernel.scripts[0]).toInclude("table ip6 orchd");
    expect(kernel.scripts[1]).not.toInclude("table ip orchd");
    expect(kernel.scripts[1]).toInclude("services { 10.210.240.1 : goto service_10.210.240.1 }");
    await become({ ...READY, generation: 9 });
    expect(kernel.scripts).toHaveLength(2);
  });

  test("touches links when nodes change, and when a task here gets ready", async () => {
    const { kernel, become } = aPlane();
    await become(EMPTY);
    expect(kernel.links).toHaveLength(1);
    await become(READY);
    expect(kernel.links).toHaveLength(2);
    await become({ ...READY, tasks: [] });
    expect(kernel.links).toHaveLength(2);
    await become({ ...READY, nodes: [aMapNode("n1"), aMapNode("n2")], tasks: [] });
    expect(kernel.links).toHaveLength(3);
  });

  test("takes changes that come at once together", async () => {
    const { plane, kernel } = aPlane(READY);
    await Promise.all([plane.refresh(), plane.refresh(), plane.refresh(), plane.refresh()]);
    expect(kernel.scripts).toHaveLength(1);
  });

  test("tells of trouble once, tries again, and tells when it is over", async () => {
    const { kernel, said, become, pass } = aPlane();
    kernel.trouble = new Error("no nft");
    await become(READY);
    await pass(11_000);
    expect(said).toEqual(["the node's network lags: no nft"]);
    kernel.trouble = undefined;
    await pass(5000);
    expect(said.at(-1)).toBe("the node's network is as it should be");
    expect(kernel.scripts).toHaveLength(1);
  });

  test("forgets flows to a task that gets no traffic any more", async () => {
    const { kernel, become } = aPlane();
    await become(READY);
    await become(EMPTY);
    expect(kernel.forgotten).toEqual(["10.210.1.2"]);
  });

  test("leaves a port to the program that has it, and says so", async () => {
    const { kernel, notes, taken, become } = aPlane();
    taken.add(8080);
    await become(READY);
    expect(kernel.scripts[0]).not.toInclude("port_tcp_8080");
    expect(notes).toEqual([["port 8080 is in use"]]);
    taken.clear();
    await become({ ...READY, generation: 2 });
    expect(kernel.scripts[1]).toInclude("add chain ip orchd port_tcp_8080");
    expect(notes.at(-1)).toEqual([]);
  });

  test("counts connections by published port", async () => {
    const { plane } = aPlane(READY);
    expect(await plane.connections()).toEqual({});
    await plane.refresh();
    expect(await plane.connections()).toEqual({ "8080/tcp": 7 });
  });
});

describe("a node that left its cluster", () => {
  test("takes everything away, and makes it again when it is back", async () => {
    const { plane, kernel, become, pass } = aPlane();
    plane.start();
    await pass(1000);
    await plane.leave();
    await become(READY);
    await pass(200_000);
    expect(kernel.scripts.slice(1)).toEqual(["gone"]);
    plane.start();
    await pass(1000);
    expect(kernel.scripts).toHaveLength(3);
    expect(kernel.scripts[2]).toInclude("service_10.210.240.1");
  });
});

describe("what somebody else changes", () => {
  async function started() {
    const world = aPlane(READY);
    world.plane.start();
    await world.pass(1000);
    expect(world.kernel.scripts).toHaveLength(1);
    return world;
  }

  test("is told from what the data plane changes itself", async () => {
    const { kernel, said, become, pass } = await started();
    await become(EMPTY);
    await become(READY);
    await pass(5000);
    expect(kernel.scripts).toHaveLength(3);
    expect(said).toEqual([]);
  });

  test("is made good at the next look, once", async () => {
    const { kernel, said, pass } = await started();
    kernel.news = { links: false, foreign: 1 };
    await pass(5000);
    expect(kernel.scripts).toHaveLength(2);
    expect(kernel.scripts[1]).toStartWith("table ip orchd {}\ndelete table ip orchd\n");
    expect(said).toEqual(["somebody has changed orchd's rules: they are made again"]);
  });

  test("is looked for often while this node's tasks change, and seldom after that", async () => {
    const { kernel, become, pass } = await started();
    await pass(60_000);
    kernel.looks = 0;
    await pass(60_000);
    expect(kernel.looks).toBe(6);
    await become({ ...READY, nodes: [aMapNode("n1"), aMapNode("n2")] });
    await pass(2000);
    expect(kernel.looks).toBe(6);
    await become(EMPTY);
    await pass(2000);
    expect(kernel.looks).toBe(10);
  });

  test("on a node that rests is made good within ten seconds", async () => {
    const { kernel, pass } = await started();
    await pass(60_000);
    kernel.news = { links: false, foreign: 1 };
    await pass(10_000);
    expect(kernel.scripts).toHaveLength(2);
  });

  test("is made good soon where the kernel rings, however often it does", async () => {
    const { kernel, pass } = await started();
    await pass(60_000);
    kernel.looks = 0;
    kernel.news = { links: false, foreign: 1 };
    for (let rings = 0; rings < 10; rings++) {
      kernel.ring();
      await pass(100);
    }
    expect(kernel.scripts).toHaveLength(2);
    expect(kernel.looks).toBe(2);
    await pass(9000);
    expect(kernel.looks).toBe(2);
  });

  test("is looked for where news were lost", async () => {
    const { kernel, pass } = await started();
    kernel.news = { links: false, foreign: undefined };
    await pass(1000);
    expect(kernel.scripts).toHaveLength(1);
    kernel.hasTable = false;
    kernel.news = { links: false, foreign: undefined };
    await pass(1000);
    expect(kernel.scripts).toHaveLength(2);
  });

  test("is looked for once a minute where the kernel tells of nothing", async () => {
    const { kernel, said, pass } = await started();
    kernel.isSilent = true;
    kernel.hasTable = false;
    await pass(30_000);
    expect(kernel.scripts).toHaveLength(1);
    await pass(31_000);
    expect(kernel.scripts).toHaveLength(2);
    expect(said).toEqual([
      "changes are found later: no netlink",
      "somebody has changed orchd's rules: they are made again",
    ]);
  });

  test("on links is set right, and nothing more is done after that", async () => {
    const { kernel, pass } = await started();
    const before = kernel.links.length;
    kernel.news = { links: true, foreign: 0 };
    await pass(5000);
    expect(kernel.links).toHaveLength(before + 1);
  });

  test("is no business of one that was closed", async () => {
    const { plane, kernel, pass } = await started();
    plane.close();
    kernel.news = { links: true, foreign: 1 };
    await pass(5000);
    expect(kernel.scripts).toHaveLength(1);
  });
});
