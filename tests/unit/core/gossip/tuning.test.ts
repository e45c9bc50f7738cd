import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CLUSTER_TUNINGS, type Tuning } from "../../../../src/core/gossip/tuning.ts";
import { GOSSIP_PRESETS } from "../../../../src/model/gossip-preset.ts";

const README = join(import.meta.dir, "../../../../src/core/gossip/README.md");

/** Name, values and the two sentences of each number in the README's table. */
function rowsOfReadme(): { name: string; values: string[]; tradeOff: string; range: string }[] {
  return readFileSync(README, "utf8")
    .split("\n")
    .flatMap((line) => {
      const [, name, values = "", tradeOff = "", range = ""] = line.split("|").map((cell) => {
        return cell.trim();
      });
      const [, word] = /^`(\w+)`$/.exec(name ?? "") ?? [];
      return word === undefined
        ? []
        : [{ name: word, values: values.split("; "), tradeOff, range }];
    });
}

function shown(value: number | boolean): string {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return value < 10_000 ? `${value}` : value.toLocaleString("en-US");
}

test("each number stands in the README with its values, its trade-off and its range", () => {
  const presets = GOSSIP_PRESETS.map((preset) => CLUSTER_TUNINGS[preset]);
  const expected = Object.keys(CLUSTER_TUNINGS.orchd).map((name) => {
    const values = presets.map((tuning) => shown(tuning[name as keyof Tuning]));
    return `${name}: ${(new Set(values).size === 1 ? values.slice(0, 1) : values).join("; ")}`;
  });
  const rows = rowsOfReadme();
  expect(rows.map(({ name, values }) => `${name}: ${values.join("; ")}`).sort()).toEqual(
    expected.sort(),
  );
  expect(rows.filter(({ tradeOff, range }) => tradeOff === "" || range === "")).toEqual([]);
});

test("no preset has times that contradict each other", () => {
  for (const tuning of Object.values(CLUSTER_TUNINGS)) {
    expect(tuning.probeTimeoutMs).toBeLessThan(tuning.probeIntervalMs);
    expect(tuning.gossipIntervalMs).toBeLessThan(tuning.probeIntervalMs);
    expect(tuning.gossipToTheDeadMs).toBeLessThanOrEqual(tuning.reapAfterMs);
  }
});
