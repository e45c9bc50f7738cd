import { describe, expect, test } from "bun:test";
import { seededRandom, randomBelow } from "../../../src/lib/random.ts";
import type { AssignmentSet } from "../../../src/model/assignment.ts";
import { AssignmentReceiver } from "../../../src/session/assignment-receiver.ts";
import { AssignmentSender } from "../../../src/session/assignment-sender.ts";
import { downFrameSchema, type AssignmentsFrame, parseFrame } from "../../../src/session/frames.ts";
import { anAssignment } from "../../builders.ts";

const MAX = 16 * 1024 * 1024;

function parse(text: string): AssignmentsFrame {
  const frame = parseFrame(downFrameSchema, text, MAX);
  if (frame.type !== "assignments") throw new Error(`not a set: ${frame.type}`);
  return frame;
}

function aSet(generation: number, names: readonly string[]): AssignmentSet {
  const assignments = names.map((name) => anAssignment(name));
  return { generation, assignments };
}

/** Everything that waits, as it arrives. */
function deliver(sender: AssignmentSender, receiver: AssignmentReceiver) {
  const arrived: (AssignmentSet | "unknownBase")[] = [];
  const frames: string[] = [];
  for (let text = sender.next(); text !== undefined; text = sender.next()) {
    frames.push(text);
    const taken = receiver.take(parse(text));
    if (taken !== "more") arrived.push(taken);
  }
  return { arrived, frames };
}

describe("assignment sets on their way", () => {
  test("go whole at first, and then as what changed", () => {
    const [sender, receiver] = [new AssignmentSender(), new AssignmentReceiver()];
    const names = ["a", "b", "c", "d"];
    sender.offer(aSet(1, names));
    expect(deliver(sender, receiver).arrived).toEqual([aSet(1, names)]);
    const changed = aSet(2, ["a", "c", "d"]);
    changed.assignments[0] = anAssignment("a", { desired: "shutdown" });
    sender.offer(changed);
    const { arrived, frames } = deliver(sender, receiver);
    expect(arrived).toEqual([changed]);
    const [frame] = frames.map(parse);
    expect([frame?.base, frame?.changed.length, frame?.removed.length]).toEqual([1, 1, 1]);
  });

  test("go whole where nearly everything changed", () => {
    const [sender, receiver] = [new AssignmentSender(), new AssignmentReceiver()];
    sender.offer(aSet(1, ["a", "b"]));
    deliver(sender, receiver);
    sender.offer(aSet(2, ["c", "d"]));
    const { arrived, frames } = deliver(sender, receiver);
    expect(arrived).toEqual([aSet(2, ["c", "d"])]);
    expect(frames.map(parse)[0]?.base).toBeUndefined();
  });

  test("that are large come in frames of bounded size", () => {
    const [sender, receiver] = [new AssignmentSender(), new AssignmentReceiver()];
    const names = Array.from({ length: 3000 }, (_, i) => `t${String(i).padStart(5, "0")}`);
    sender.offer(aSet(1, names));
    const { arrived, frames } = deliver(sender, receiver);
    expect(arrived).toEqual([aSet(1, names)]);
    expect(frames.length).toBeGreaterThan(20);
    expect(Math.max(...frames.map(({ length }) => length))).toBeLessThan(70_000);
  });

  test("with one assignment that is larger than a part still arrive", () => {
    const [sender, receiver] = [new AssignmentSender(), new AssignmentReceiver()];
    const environment = Object.fromEntries(
      Array.from({ length: 100 }, (_, i) => [`V${i}`, "v".repeat(30_000)]),
    );
    const container = { ...anAssignment("a").container, environment };
    const set = { generation: 1, assignments: [anAssignment("a", { container })] };
    sender.offer(set);
    expect(deliver(sender, receiver).arrived).toEqual([set]);
  });

  test("that are newer wait for the one on its way, and the newest of them follows", () => {
    const [sender, receiver] = [new AssignmentSender(), new AssignmentReceiver()];
    const names = Array.from({ length: 1000 }, (_, i) => `t${i}`);
    sender.offer(aSet(1, names));
    receiver.take(parse(sender.next() ?? ""));
    for (let generation = 2; generation < 10; generation++) sender.offer(aSet(generation, ["a"]));
    const { arrived } = deliver(sender, receiver);
    const generations = arrived.map((one) => (one === "unknownBase" ? one : one.generation));
    expect(generations).toEqual([1, 9]);
  });

  test("that build on what the other end lost are sent whole when it asks", () => {
    const sender = new AssignmentSender();
    sender.offer(aSet(1, ["a", "b", "c"]));
    deliver(sender, new AssignmentReceiver());
    const forgetful = new AssignmentReceiver();
    sender.offer(aSet(2, ["a", "b"]));
    expect(deliver(sender, forgetful).arrived).toEqual(["unknownBase"]);
    sender.sendWhole();
    expect(deliver(sender, forgetful).arrived).toEqual([aSet(2, ["a", "b"])]);
  });

  test("always arrive as they were sent, in whatever way they change", () => {
    for (let seed = 0; seed < 50; seed++) {
      const random = seededRandom(`sets ${seed}`);
      const [sender, receiver] = [new AssignmentSender(), new AssignmentReceiver()];
      for (let generation = 1; generation < 20; generation++) {
        const assignments = Array.from({ length: 12 }, (_, i) => i)
          .filter(() => random.next() < 0.7)
          .map((i) => anAssignment(`t${10 + i}`, { revision: 1 + randomBelow(random, 2) }));
        const set = { generation, assignments };
        sender.offer(set);
        expect([seed, ...deliver(sender, receiver).arrived]).toEqual([seed, set]);
      }
    }
  });
});
