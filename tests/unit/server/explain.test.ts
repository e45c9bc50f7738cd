import { expect, test } from "bun:test";
import { explainNode } from "../../../src/server/explain-node.ts";
import { aNode, aView } from "../../builders.ts";

test("a node's explanation has what its agent found out", () => {
  const note = "7946/udp to 10.99.0.1 is blocked: no answer to 3 probes, while 7946/tcp answers";
  const node = aNode("n1", { notes: [note] });
  const { facts } = explainNode(aView({ nodes: [node] }), node, "its session is connected", 0);
  expect(facts).toContainEqual({ label: "trouble", value: note });
});
