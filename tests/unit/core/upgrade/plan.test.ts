import { describe, expect, test } from "bun:test";
import { newestOf, planUpgrade, type UpgradeInput } from "../../../../src/core/upgrade/plan.ts";
import type { Node } from "../../../../src/model/node.ts";
import { type Executable, upgradeRequestSchema } from "../../../../src/model/upgrade.ts";
import { aNode } from "../../../builders.ts";

const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
const anExecutable = (version: string, platform = "linux/amd64", digit = "2"): Executable => ({
  version,
  platform,
  digest: digest(digit),
  sizeBytes: 9,
});
const aMachine = (name: string, over: Partial<Node> = {}) =>
  aNode(name, { orchdVersion: "1.0.0", executable: {}, ...over });

function planned(
  nodes: Node[],
  { kept = [anExecutable("2.0.0")], ...request }: Record<string, unknown> & { kept?: Executable[] },
  more: Partial<UpgradeInput> = {},
) {
  return planUpgrade({
    request: upgradeRequestSchema.parse(request),
    nodes,
    kept,
    before: undefined,
    order: "agentsFirst",
    run: "u1",
    now: 5,
    ...more,
  });
}

function states(nodes: Node[], request: Parameters<typeof planned>[1] = {}): string[] | string {
  const plan = planned(nodes, request);
  return plan.ok ? plan.value.nodes.map(({ id, state }) => `${id} ${state}`) : plan.problem;
}

describe("an upgrade that is asked for", () => {
  test("takes the newest version that is kept, for each machine its own executable", () => {
    const arm = { platform: { os: "linux", arch: "arm64" } };
    const kept = [
      anExecutable("1.9.0"),
      anExecutable("2.0.0"),
      anExecutable("1.10.0"),
      anExecutable("2.0.0", "linux/arm64", "3"),
    ];
    const plan = planned([aMachine("h2", arm), aMachine("h1")], { kept });
    expect(plan).toMatchObject({
      ok: true,
      value: { to: "2.0.0", state: "running", parallel: 1, withinMs: 120_000, startedAt: 5 },
    });
    expect(plan.ok && plan.value.executables.map(({ digest: of }) => of)).toEqual([
      digest("2"),
      digest("3"),
    ]);
    expect(newestOf(kept)).toBe("2.0.0");
  });

  test("leaves out a server that is no node, unless that has to be first", () => {
    const nodes = [aMachine("h1")];
    expect(planned(nodes, {}, { serverVersion: "1.0.0" })).toMatchObject({ ok: true });
    const lone =
      "the server can't be told to run another orchd, since it runs with --no-agent, and has to " +
      "run 2.0.0 before any node does: put it there by hand, restart it";
    const first = { order: "serversFirst", serverVersion: "1.0.0" } as const;
    expect(planned(nodes, {}, first)).toMatchObject({ problem: lone });
    expect(planned([], {}, { serverVersion: "1.0.0" })).toMatchObject({
      problem: expect.stringContaining("no node is meant, and the server can't be told"),
    });
  });

  test("is done at once where all nodes run it", () => {
    const node = aMachine("h1", { orchdVersion: "2.0.0" });
    expect(planned([node], {})).toMatchObject({ value: { state: "done", endedAt: 5 } });
  });

  test("is no upgrade to an older version, unless with force", () => {
    const nodes = [aMachine("h1", { orchdVersion: "2.1.0" }), aMachine("h2")];
    expect(states(nodes)).toContain("h1 runs a newer orchd (2.1.0) than 2.0.0: use --force");
    expect(states(nodes, { force: true })).toHaveLength(2);
  });

  test("takes the same version anew with force, from another executable alone", () => {
    const other = aMachine("h1", { orchdVersion: "2.0.0", executable: { digest: digest("4") } });
    const same = aMachine("h2", { orchdVersion: "2.0.0", executable: { digest: digest("2") } });
    expect(states([other, same])).toEqual([`${other.id} done`, `${same.id} done`]);
    expect(states([other, same], { force: true })).toEqual([
      `${other.id} waiting`,
      `${same.id} done`,
    ]);
  });

  const refusals: [string, Node[], Parameters<typeof planned>[1], string][] = [
    ["nothing is kept", [aMachine("h1")], { kept: [] }, "keeps no executable of orchd: name a"],
    ["no node is meant", [], {}, "no node is meant"],
    ["that version is not kept", [aMachine("h1")], { to: "3.0.0" }, "3.0.0; it keeps 2.0.0"],
    [
      "there is none for a machine",
      [aMachine("pi", { platform: { os: "linux", arch: "arm64" } })],
      {},
      "node pi is linux/arm64, and the executable is for linux/amd64",
    ],
    ["a node can't do it", [aNode("old")], {}, "old can't be upgraded from here"],
  ];
  test.each(refusals)("is refused when %s", (_why, nodes, request, problem) => {
    expect(states(nodes, request)).toContain(problem);
  });
});
