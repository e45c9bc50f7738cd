import { expect, test } from "bun:test";
import { ClusterLoad } from "../../../../src/core/scheduler/cluster-load.ts";
import { sieve } from "../../../../src/core/scheduler/sieve.ts";
import { unmetConstraint } from "../../../../src/model/constraint.ts";
import type { Constraint } from "../../../../src/model/service.ts";
import { aNode, aView, anId } from "../../../builders.ts";

const NODES = Array.from({ length: 40 }, (_, i) =>
  aNode(`n${i}`, {
    id: anId(`n${i}`),
    labels: {
      ...(i % 4 === 0 ? {} : { zone: `Z${i % 3}` }),
      version: `1.${i % 5}`,
    },
    roles: { server: i < 3, agent: true },
  }),
);

const CASES: readonly Constraint[] = [
  { key: "node.labels.zone", operator: "==", value: "z1" },
  { key: "node.labels.zone", operator: "!=", value: "z1" },
  { key: "node.labels.zone", operator: "==", value: "" },
  { key: "node.labels.version", operator: "version>=", value: "1.3" },
  { key: "node.role", operator: "==", value: "server" },
  { key: "node.platform.os", operator: "==", value: "plan9" },
];

/** The places of those that are left. */
function left(load: ClusterLoad, constraints: readonly Constraint[]): number[] {
  return [...sieve(Int32Array.from(load.nodes.keys()), constraints, load)];
}

for (const constraint of CASES) {
  test(`${constraint.key} ${constraint.operator} ${constraint.value} leaves who meets it`, () => {
    const load = ClusterLoad.of(aView({ nodes: NODES }));
    const expected = load.nodes.flatMap(({ node, index }) =>
      node !== undefined && unmetConstraint(node, [constraint]) === undefined ? [index] : [],
    );
    expect(left(load, [constraint])).toEqual(expected);
  });
}

test("several constraints leave whoever meets all", () => {
  const load = ClusterLoad.of(aView({ nodes: NODES }));
  const both = CASES.slice(3, 5);
  const [first, second] = both.map((constraint) => left(load, [constraint]));
  expect(left(load, both)).toEqual(first?.filter((place) => second?.includes(place)) ?? []);
});

test("what each node has for itself is left to the nodes", () => {
  const load = ClusterLoad.of(aView({ nodes: NODES }));
  expect(left(load, [{ key: "node.hostname", operator: "==", value: "n1" }])).toHaveLength(40);
});

test("an unknown key is left to the nodes, none of which meets it", () => {
  const load = ClusterLoad.of(aView({ nodes: NODES }));
  expect(left(load, [{ key: "node.colour", operator: "==", value: "red" }])).toHaveLength(40);
});
