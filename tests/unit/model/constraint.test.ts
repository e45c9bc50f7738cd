import { describe, expect, test } from "bun:test";
import {
  CONSTRAINT_KEYS,
  formatConstraint,
  nodeValue,
  unmetConstraint,
} from "../../../src/model/constraint.ts";
import type { Constraint } from "../../../src/model/service.ts";
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

describe("a constraint of x-orchd", () => {
  type Operator = Constraint["operator"];
  const labels = { slots: "16", fw: "v1.10.0-rc.2", zone: "North-2", free: "much" };
  const here = aNode("n1", { labels, address: "10.1.2.3" });
  const meets = (key: string, operator: Operator, value: string) =>
    unmetConstraint(here, [{ key, operator, value }]) === undefined;

  test("compares numbers as numbers, and what is none is neither more nor less", () => {
    const results = (["<", "<=", ">", ">="] as const).map((operator) =>
      ["8", "16", "100", "-1.5"].map((value) => meets("node.labels.slots", operator, value)),
    );
    expect(results).toEqual([
      [false, false, true, false],
      [false, true, true, false],
      [true, false, false, true],
      [true, true, false, true],
    ]);
    expect(meets("node.labels.free", "<", "1") || meets("node.labels.free", ">=", "1")).toBe(false);
    expect(meets("node.labels.none", "<", "1")).toBe(false);
  });

  test("compares versions part by part, with pre-releases before the release", () => {
    const key = "node.labels.fw";
    expect(meets(key, "version>=", "1.9")).toBe(true);
    expect(meets(key, "version<", "1.10.0")).toBe(true);
    expect(meets(key, "version>", "1.10.0-rc.1")).toBe(true);
    expect(meets(key, "version==", "1.10-RC.2")).toBe(true);
    expect(meets(key, "version!=", "1.10.0")).toBe(true);
    expect(meets("node.labels.zone", "version>=", "0")).toBe(false);
    expect(meets("node.labels.zone", "version!=", "0")).toBe(true);
  });

  test("takes one of several, or what a pattern fits", () => {
    const key = "node.labels.zone";
    expect(meets(key, "in", "south, north-2")).toBe(true);
    expect(meets(key, "in", "south, north")).toBe(false);
    expect(meets(key, "matches", "north-[0-9]")).toBe(true);
    expect(meets(key, "matches", "*th")).toBe(false);
  });

  test("on the address takes ranges, negated or among others", () => {
    expect(meets("node.ip", "==", "10.1.0.0/16")).toBe(true);
    expect(meets("node.ip", "==", "::ffff:10.1.2.3")).toBe(true);
    expect(meets("node.ip", "!=", "10.1.2.0/24")).toBe(false);
    expect(meets("node.ip", "in", "192.168.0.0/16, 10.0.0.0/8")).toBe(true);
    expect(meets("node.ip", "==", "10.1.2.4/31")).toBe(false);
    expect(meets("node.ip", "==", "fd00::/8")).toBe(false);
  });
});

test("every key that can be named has a value", () => {
  const values = CONSTRAINT_KEYS.map((key) => nodeValue(node, key));
  expect(values).toEqual([node.id, "pi-1", "192.0.2.1", "agent", "linux", "amd64"]);
});
