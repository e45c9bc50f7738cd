import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isConverged, planService } from "../../../src/core/reconcile/service.ts";
import { seededRandom } from "../../../src/lib/random.ts";
import { formatPlan } from "../../plan-text.ts";
import { lintPlan } from "../../plan-linter.ts";
import { expectGolden } from "../golden-file.ts";
import { parseWorld } from "./world-text.ts";

const SEPARATOR = "--- plan";

describe("from this view follows this plan", () => {
  const files = readdirSync(import.meta.dir).filter((name) => name.endsWith(".txt"));
  for (const name of files.sort()) {
    test(name.replace(/\.txt$/, "").replaceAll("-", " "), () => {
      const path = join(import.meta.dir, name);
      const [world = ""] = readFileSync(path, "utf8").split(SEPARATOR);
      const { view, now } = parseWorld(world);
      const lines: string[] = [];
      for (const service of view.services.values()) {
        const plan = planService(view, service.id, now, seededRandom(name));
        expect(lintPlan(view, service, plan, now)).toEqual([]);
        const isQuiet = plan.actions.length === 0 && plan.wakeAt === undefined;
        const state = isConverged(view, service) ? "has converged" : "has not converged";
        const nothing = isQuiet ? [`nothing to do: ${state}`] : [];
        lines.push(...[...formatPlan(plan), ...nothing].map((line) => `${service.name}: ${line}`));
      }
      expectGolden(path, `${world.trimEnd()}\n\n${SEPARATOR}\n${lines.join("\n")}\n`);
    });
  }

  test("and there are views to look at", () => {
    expect(files.length).toBeGreaterThan(8);
  });
});
