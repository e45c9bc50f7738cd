import { describe, expect, test } from "bun:test";
import { BroadcastQueue } from "../../../../src/core/gossip/broadcast-queue.ts";
import { messageBytes } from "../../../../src/core/gossip/message-size.ts";
import type { Broadcastable } from "../../../../src/core/gossip/messages.ts";

const about = (node: string, incarnation = 1): Broadcastable => {
  return { type: "suspect", node, incarnation, from: "m1" };
};
const user = (...bytes: number[]): Broadcastable => {
  return { type: "user", payload: Uint8Array.from(bytes) };
};

describe("the queue of broadcasts", () => {
  test("gives each message so many times and no more", () => {
    const queue = new BroadcastQueue();
    queue.add(about("m2"));
    const given = [1, 2, 3, 4].map(() => queue.take(1400, 3).length);
    expect(given).toEqual([1, 1, 1, 0]);
    expect(queue.size).toBe(0);
  });

  test("begins with what was sent least, the newest of it first", () => {
    const queue = new BroadcastQueue();
    queue.add(about("m2"));
    queue.take(1400, 9);
    queue.add(about("m3"));
    queue.add(about("m4"));
    const order = queue.take(1400, 9).map((message) => "node" in message && message.node);
    expect(order).toEqual(["m4", "m3", "m2"]);
  });

  test("has one message about a member: the newest", () => {
    const queue = new BroadcastQueue();
    let isDone = false;
    queue.add(about("m2", 1), () => (isDone = true));
    queue.add(about("m2", 2));
    expect(isDone).toBe(true);
    expect(queue.take(1400, 9)).toEqual([about("m2", 2)]);
    expect(queue.size).toBe(1);
  });

  test("keeps all that the application says, up to a limit", () => {
    const queue = new BroadcastQueue();
    for (let i = 0; i < 300; i++) queue.add(user(i % 256, i >> 8));
    expect(queue.size).toBe(256);
    const first = queue.take(100_000, 1)[0];
    expect(first).toEqual(user(299 % 256, 1));
  });

  test("fills a packet as far as it goes, and passes over what is too large", () => {
    const queue = new BroadcastQueue();
    const small = about("m2");
    const large = user(...Array.from({ length: 200 }, () => 0));
    queue.add(small);
    queue.add(large);
    expect(queue.take(messageBytes(small) + 2, 9)).toEqual([small]);
    expect(queue.take(messageBytes(small) + 1, 9)).toEqual([]);
    expect(queue.take(messageBytes(small) + messageBytes(large) + 4, 9).length).toBe(2);
  });

  test("tells when a message was sent often enough", () => {
    const queue = new BroadcastQueue();
    let isDone = false;
    queue.add(about("m2"), () => (isDone = true));
    queue.take(1400, 2);
    expect(isDone).toBe(false);
    queue.take(1400, 2);
    expect(isDone).toBe(true);
  });
});
