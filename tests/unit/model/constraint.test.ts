import { describe, expect, test } from "bun:test";
import {
  CONSTRAINT_KEYS,
  formatConstraint,
  nodeValue,
  unmetConstraint,
} from "../../../src/model/constraint.ts";
import { aNode } from "../../builders.ts";

const node = aNode("n1", { labels: { zone: "North" }, hostname: "pi-1" });
const is = (key: string, value: string) => ({ key, operator: "==" as const, value });
const isNot = (key: string, value: string) => ({ key, operator: "!=" as const, value });

describe("a constraint", () => {
  test("is met without regard to capitals", () => {
    expect(unmetConstraint(node, [is("node.labels.zone", "north")])).toBeUndefined();
    const notNorth = isNot("node.labels.zone", "NORTH");
    expect(unmetConstraint(node, [notNorth])).toBe(notNorth);
  });

  test("reads a label that the node lacks as the empty text", () => {
    expect(unmetConstraint(node, [isNot("node.labels.ssd", "true")])).toBeUndefined();
    const hasSsd = is("node.labels.ssd", "true");
    expect(unmetConstraint(node, [hasSsd])).toBe(hasSsd);
  });

  test("with a key that nobody knows is met by no node, even negated", () => {
    const unknown = isNot("engine.labels.x", "1");
    expect(unmetConstraint(node, [unknown])).toBe(unknown);
  });

  test("that fails first is the one that is told", () => {
    const constraints = [is("node.hostname", "pi-1"), is("node.role", "server"), is("node.ip", "")];
    const unmet = unmetConstraint(node, constraints);
    expect(unmet && formatConstraint(unmet)).toBe("node.role == server");
  });
});

test("every key that can be named has a value", () => {
  const values = CONSTRAINT_KEYS.map((key) => nodeValue(node, key));
  expect(values).toEqual([node.id, "pi-1", "192.0.2.1", "agent", "linux", "amd64"]);
});
