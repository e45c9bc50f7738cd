import { describe, expect, test } from "bun:test";
import { MovingMap, type NetworkChange } from "../../../src/model/network-change.ts";
import type { NetworkMap } from "../../../src/model/network-map.ts";
import { downFrameSchema, type NetworkFrame, parseFrame } from "../../../src/session/frames.ts";
import { NetworkReceiver } from "../../../src/session/network-receiver.ts";
import { NetworkSender } from "../../../src/session/network-sender.ts";
import { aMap, aMapNode, aMapService, aMapTask, aNetworkChange, anId } from "../../builders.ts";
import { settled } from "../../sim/virtual-clock.ts";
import { MemoryLink } from "./memory-link.ts";
import { facts, Rig } from "./rig.ts";

const MAX = 16 * 1024 * 1024;

function parse(text: string): NetworkFrame {
  const frame = parseFrame(downFrameSchema, text, MAX);
  if (frame.type !== "network") throw new Error(`not a map: ${frame.type}`);
  return frame;
}

/** A source of which the test says what comes of each base. */
function aSource(answer: (base: number | undefined) => NetworkChange) {
  const asked: (number | undefined)[] = [];
  const since = (base: number | undefined) => {
    asked.push(base);
    return answer(base);
  };
  return { asked, since };
}

/** Everything that waits, as it arrives. */
function deliver(sender: NetworkSender, receiver: NetworkReceiver) {
  const arrived: (NetworkChange | "unknownBase")[] = [];
  const frames: string[] = [];
  for (let text = sender.next(); text !== undefined; text = sender.next()) {
    frames.push(text);
    const taken = receiver.take(parse(text));
    if (taken !== "more") arrived.push(taken);
  }
  return { arrived, frames };
}

const many = Array.from({ length: 2000 }, (_, i) => aMapTask(`t${String(i).padStart(5, "0")}`));

describe("the network's map on its way", () => {
  test("goes whole at first, and then as what changed since what was sent", () => {
    const [sender, receiver] = [new NetworkSender(), new NetworkReceiver()];
    const whole = aNetworkChange({ generation: 5, tasks: [aMapTask("a"), aMapTask("b")] });
    const none = { nodes: [], services: [], tasks: [] };
    const change = { ...whole, ...none, generation: 7, base: 5, tasks: [aMapTask("c")] };
    const gone = { ...none, tasks: [anId<"task">("a")] };
    const source = aSource((base) =>
      base === undefined ? whole : { ...change, removed: gone, services: [aMapService("db")] },
    );
    sender.offer(source);
    expect(deliver(sender, receiver).arrived).toEqual([whole]);
    sender.offer(source);
    const { arrived } = deliver(sender, receiver);
    expect(source.asked).toEqual([undefined, 5]);
    const map = MovingMap.of({ ...aMap(), tasks: whole.tasks });
    for (const one of arrived) if (one !== "unknownBase") map.take(one);
    expect(map.toMap()).toEqual({
      ...aMap({ generation: 7 }),
      services: [aMapService("web"), aMapService("db")],
      tasks: [aMapTask("b"), aMapTask("c")],
    } satisfies NetworkMap);
  });

  test("that is large comes in frames of bounded size", () => {
    const [sender, receiver] = [new NetworkSender(), new NetworkReceiver()];
    const nodes = Array.from({ length: 200 }, (_, i) => aMapNode(`n${i + 1}`));
    const whole = aNetworkChange({ nodes, tasks: many });
    sender.offer(aSource(() => whole));
    const { arrived, frames } = deliver(sender, receiver);
    expect(arrived).toEqual([whole]);
    expect(frames.length).toBeGreaterThan(3);
    expect(Math.max(...frames.map(({ length }) => length))).toBeLessThan(70_000);
  });

  test("costs no frame when nothing changed", () => {
    const [sender, receiver] = [new NetworkSender(), new NetworkReceiver()];
    const whole = aNetworkChange({ generation: 5 });
    const nothing = { ...whole, base: 5, nodes: [], services: [], tasks: [] };
    const source = aSource((base) => (base === undefined ? whole : nothing));
    sender.offer(source);
    deliver(sender, receiver);
    sender.offer(source);
    expect(deliver(sender, receiver).frames).toEqual([]);
  });

  test("is asked for when there is room, so that whatever changed meanwhile goes along", () => {
    const [sender, receiver] = [new NetworkSender(), new NetworkReceiver()];
    let generation = 1;
    const source = aSource(() => aNetworkChange({ generation, tasks: many }));
    sender.offer(source);
    const first = parse(sender.next() ?? "");
    expect([first.generation, first.more, receiver.take(first)]).toEqual([1, true, "more"]);
    for (generation = 2; generation < 9; generation++) sender.offer(source);
    const { arrived } = deliver(sender, receiver);
    expect(arrived.map((one) => one !== "unknownBase" && one.generation)).toEqual([1, 9]);
    expect(source.asked).toEqual([undefined, 1]);
  });

  test("goes whole again when the agent asks for that", () => {
    const [sender, receiver] = [new NetworkSender(), new NetworkReceiver()];
    const source = aSource((base) => aNetworkChange(base === undefined ? {} : { base }));
    sender.offer(source);
    deliver(sender, receiver);
    sender.sendWhole();
    expect(deliver(sender, new NetworkReceiver()).arrived).toEqual([aNetworkChange()]);
    expect(source.asked).toEqual([undefined, undefined]);
  });
});

describe("a session", () => {
  test("brings the map to its agent", async () => {
    const { agent, remote } = await new Rig().joined();
    remote.network(aSource(() => aNetworkChange()));
    await settled();
    expect(agent.changes).toEqual([aNetworkChange()]);
  });

  test("brings none to an agent that does not know of maps", async () => {
    for (const [takes, types] of [
      [["network"], ["welcome", "assignments", "network"]],
      [["riddles"], ["welcome", "assignments"]],
      [undefined, ["welcome", "assignments"]],
    ] as const) {
      const rig = new Rig();
      const [link, serverLink] = MemoryLink.pair();
      const seen: string[] = [];
      link.listen({
        onText: (text) => seen.push((JSON.parse(text) as { type: string }).type),
        onBytes() {},
        onSound() {},
        onDrain() {},
        onClose() {},
      });
      rig.sessions.accept(serverLink, anId("n1"));
      const hello = { type: "hello", protocol: 1, instance: "i1", facts: facts(), takes };
      link.send(JSON.stringify(hello));
      await settled();
      rig.remote().network(aSource(() => aNetworkChange()));
      await settled();
      expect(seen).toEqual([...types]);
    }
  });
});
