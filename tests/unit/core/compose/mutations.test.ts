import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { seededRandom } from "../../../../src/lib/random.ts";
import { stackSpecSchema } from "../../../../src/model/stack.ts";
import { loadText, problemsOf } from "./load-text.ts";
import { mutate } from "./mutate.ts";

const compose = join(import.meta.dir, "../../../../compose");
const texts = ["hello", "sensors", "kiosk", "static-site"].map((name) =>
  readFileSync(join(compose, name, "compose.yaml"), "utf8"),
);

test("a damaged file gives problems with places or a sound stack, and never throws", () => {
  for (let i = 0; i < 400; i++) {
    const seed = `mutation-${i}`;
    const random = seededRandom(seed);
    const text = mutate(texts[i % texts.length] ?? "", random);
    const result = loadText(text, { disk: { "/project/a.yaml": text, "/project/a.env": text } });
    const isRefused = result.problems.some(({ severity }) => severity === "error");
    expect({ seed, isRefused }).toEqual({ seed, isRefused: result.spec === undefined });
    for (const { line, column, message } of result.problems) {
      expect({ seed, placed: line >= 1 && column >= 1 }).toEqual({ seed, placed: true });
      expect(message).not.toMatch(/[\u0000-\u001f]|undefined|\[object/);
    }
    if (result.spec === undefined) continue;
    expect({ seed, spec: stackSpecSchema.parse(result.spec) }).toEqual({ seed, spec: result.spec });
  }
});

test("a file laid over itself is the same stack", () => {
  for (const text of texts) {
    const once = loadText(text);
    const files = ["one", "two"].map((name) => ({ path: `/project/${name}.yaml`, text }));
    const twice = loadText(text, { files });
    expect(problemsOf(once).filter((line) => line.includes("error"))).toEqual([]);
    expect(twice).toEqual({ ...twice, spec: once.spec ?? { services: {}, volumes: [] } });
  }
});
