import { describe, expect, test } from "bun:test";
import { Heap } from "../../../../src/core/scheduler/heap.ts";

function emptied(heap: Heap): number[] {
  const order: number[] = [];
  for (let top = heap.top(); top !== undefined; top = heap.top()) {
    order.push(top);
    heap.dropTop();
  }
  return order;
}
const items = Array.from({ length: 50 }, (_, i) => (i * 37) % 50);
const inOrder = Array.from({ length: 50 }, (_, i) => i);

describe("a heap", () => {
  test("gives what it was made of in order", () => {
    const heap = new Heap((a, b) => a < b, Int32Array.from(items));
    heap.order();
    expect(emptied(heap)).toEqual(inOrder);
  });

  test("gives what was put into it in order", () => {
    const heap = new Heap((a, b) => a < b);
    for (const item of items) heap.push(item);
    expect([heap.size, ...emptied(heap)]).toEqual([50, ...inOrder]);
  });

  test("brings a top that has become worse to its place", () => {
    const weights = [1, 2, 3, 4];
    const heap = new Heap((a, b) => (weights[a] ?? 0) < (weights[b] ?? 0));
    for (const item of [0, 1, 2, 3]) heap.push(item);
    weights[0] = 3.5;
    heap.fixTop();
    expect(emptied(heap)).toEqual([1, 2, 0, 3]);
  });

  test("has no top when it is empty, and nothing to drop", () => {
    const heap = new Heap((a, b) => a < b);
    heap.dropTop();
    heap.fixTop();
    expect([heap.top(), heap.size]).toEqual([undefined, 0]);
  });
});
