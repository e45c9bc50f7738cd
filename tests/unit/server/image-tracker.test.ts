import { describe, expect, test } from "bun:test";
import { ImageTracker } from "../../../src/server/image-tracker.ts";
import { anId } from "../../builders.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;

/** A tracker that nodes ask by their number. */
function aTracker() {
  const tracker = new ImageTracker();
  const ask = (node: number, insist = false, gives = true) =>
    tracker.ask(DIGEST, anId<"node">(`n${node}`), gives ? `10.0.0.${node}` : undefined, insist);
  return { tracker, ask };
}

describe("a blob that many nodes want", () => {
  test("leaves the server once, and goes on from node to node, two from each", () => {
    const { ask } = aTracker();
    const firsts = [1, 2, 3, 4, 5, 6, 7].map((node) => ask(node)[0]);
    expect(firsts).toEqual([
      undefined,
      "10.0.0.1",
      "10.0.0.1",
      "10.0.0.2",
      "10.0.0.2",
      "10.0.0.3",
      "10.0.0.3",
    ]);
  });

  test("is named by at most four nodes, and never by the one that asks", () => {
    const { ask } = aTracker();
    for (let node = 1; node <= 9; node++) ask(node);
    expect(ask(3)).toHaveLength(4);
    expect(ask(3)).not.toContain("10.0.0.3");
  });

  test("comes from the server where the nodes that were named could not give it", () => {
    const { ask } = aTracker();
    ask(1);
    expect(ask(2, true)).toEqual([]);
    expect(ask(3)).toEqual(["10.0.0.2"]);
  });

  test("is not asked of a node that gives nothing to others", () => {
    const { ask } = aTracker();
    ask(1, false, false);
    expect(ask(2)).toEqual([]);
  });
});
