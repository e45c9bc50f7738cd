import { describe, expect, test } from "bun:test";
import { type BlobAsked, ImageTracker } from "../../../src/server/image-tracker.ts";
import { anId } from "../../builders.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;

/** A tracker that nodes ask by their number, or by their address. */
function aTracker() {
  const tracker = new ImageTracker();
  const ask = (node: number | string, how: Partial<BlobAsked> = {}) => {
    const host = typeof node === "string" ? node : `10.0.0.${node}`;
    const asked = { digest: DIGEST, nodeId: anId<"node">(host), host };
    const named = tracker.ask({ ...asked, port: 1, isCapped: false, insist: false, ...how });
    return named.map((one) => one.replace(/:1$/, ""));
  };
  return { ask };
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
    expect(ask(9)).toHaveLength(4);
    expect(ask(9)).not.toContain("10.0.0.9");
  });

  test("comes from the server where the nodes that were named could not give it", () => {
    const { ask } = aTracker();
    ask(1);
    expect(ask(2, { insist: true })).toEqual([]);
    expect(ask(3)).toEqual(["10.0.0.2"]);
  });

  test("is not asked of a node that gives nothing to others", () => {
    const { ask } = aTracker();
    ask(1, { port: undefined });
    expect(ask(2)).toEqual([]);
  });

  test("comes from the nearest of those that are not busy", () => {
    const { ask } = aTracker();
    for (const host of ["10.0.0.1", "10.9.0.1", "10.9.1.1"]) ask(host);
    expect(ask("10.9.1.2")).toEqual(["10.9.1.1", "10.9.0.1", "10.0.0.1"]);
    ask("10.9.1.3");
    expect(ask("10.9.1.4")[0]).toBe("10.9.1.2");
  });

  test("comes from a node whose link is capped only after all others", () => {
    const { ask } = aTracker();
    ask(1, { isCapped: true });
    ask(2);
    expect(ask(3)).toEqual(["10.0.0.2", "10.0.0.1"]);
  });

  test("comes to a node that asks once more from those that came before it alone", () => {
    const { ask } = aTracker();
    for (const node of [1, 2, 3, 4]) ask(node);
    expect(ask(1)).toEqual([]);
    expect(ask(3)).toEqual(["10.0.0.2", "10.0.0.1"]);
  });
});
