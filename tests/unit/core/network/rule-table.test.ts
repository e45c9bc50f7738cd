import { describe, expect, test } from "bun:test";
import {
  formatChange,
  formatRemoval,
  formatWhole,
  type RuleTable,
} from "../../../../src/core/network/rule-table.ts";

const HOOK = "type filter hook forward priority 0; policy accept;";

function aTable(over: Partial<RuleTable> = {}): RuleTable {
  return {
    name: "ip orchd",
    counters: new Set(["tcp_80"]),
    sets: new Map([["tasks", { type: "ipv4_addr : verdict", elements: new Set(["a : goto x"]) }]]),
    chains: new Map([
      ["forward", { hook: HOOK, rules: ["ip daddr vmap @tasks"] }],
      ["x", { rules: ["accept"] }],
    ]),
    ...over,
  };
}

function linesOf(script: string): string[] {
  return script.trim().split("\n");
}

describe("a table of rules", () => {
  test("takes the place of whatever was there, in one script", () => {
    expect(linesOf(formatWhole(aTable()))).toEqual([
      "table ip orchd {}",
      "delete table ip orchd",
      "table ip orchd {}",
      "add counter ip orchd tcp_80",
      "add map ip orchd tasks { type ipv4_addr : verdict; }",
      `add chain ip orchd forward { ${HOOK} }`,
      "add chain ip orchd x",
      "add element ip orchd tasks { a : goto x }",
      "add rule ip orchd forward ip daddr vmap @tasks",
      "add rule ip orchd x accept",
    ]);
  });

  test("is not touched when nothing differs", () => {
    expect(formatChange(aTable(), aTable())).toBe("");
  });

  test("goes without a complaint where there is none", () => {
    expect(linesOf(formatRemoval("ip orchd"))).toEqual([
      "table ip orchd {}",
      "delete table ip orchd",
    ]);
  });

  test("changes only the chain whose rules differ", () => {
    const to = aTable({ chains: new Map([...aTable().chains, ["x", { rules: ["drop"] }]]) });
    expect(linesOf(formatChange(aTable(), to))).toEqual([
      "flush chain ip orchd x",
      "add rule ip orchd x drop",
    ]);
  });

  test("makes what is referred to first, and removes it last", () => {
    const sets = new Map([
      ["tasks", { type: "ipv4_addr : verdict", elements: new Set(["a : goto y"]) }],
      ["more", { type: "ipv4_addr", elements: new Set<string>() }],
    ]);
    const [forward] = aTable().chains;
    const chains = new Map([...(forward === undefined ? [] : [forward]), ["y", { rules: [] }]]);
    const to = aTable({ sets, chains, counters: new Set(["tcp_81"]) });
    expect(linesOf(formatChange(aTable(), to))).toEqual([
      "add counter ip orchd tcp_81",
      "add set ip orchd more { type ipv4_addr; }",
      "add chain ip orchd y",
      "delete element ip orchd tasks { a : goto x }",
      "flush chain ip orchd x",
      "add element ip orchd tasks { a : goto y }",
      "delete chain ip orchd x",
      "delete counter ip orchd tcp_80",
    ]);
    expect(linesOf(formatChange(to, aTable())).at(-2)).toBe("delete set ip orchd more");
  });

  test("is made anew when a hook or a type is another one", () => {
    const hook = HOOK.replace("forward", "input");
    const chains = new Map([...aTable().chains, ["forward", { hook, rules: [] }]]);
    expect(formatChange(aTable(), aTable({ chains }))).toBe(formatWhole(aTable({ chains })));
    const sets = new Map([["tasks", { type: "ipv4_addr", elements: new Set<string>() }]]);
    expect(formatChange(aTable(), aTable({ sets }))).toBe(formatWhole(aTable({ sets })));
  });
});
