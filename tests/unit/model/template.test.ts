import { describe, expect, test } from "bun:test";
import {
  expandContent,
  expandValue,
  templateProblem,
  type ContentSources,
  type TemplateContext,
} from "../../../src/model/template.ts";

const context: TemplateContext = {
  service: { id: "s1", name: "shop_web", labels: { zone: "north", "a.b": "1", empty: "" } },
  node: { id: "n1", hostname: "pi-1", os: "linux", architecture: "aarch64" },
  task: { id: "t1", name: "shop_web.2.t1", slot: "2" },
};
const sources: ContentSources = {
  env: (name) => (name === "A" ? "one" : ""),
  secret: (target) =>
    target === "password"
      ? { ok: true, value: "{{.Node.ID}}" }
      : { ok: false, problem: "asks for a secret that is not there" },
  config: () => ({ ok: true, value: "cfg" }),
};

function filled(text: string): string {
  const expanded = expandContent(text, context, sources);
  return expanded.ok ? expanded.value : `refused: it ${expanded.problem}`;
}

describe("a value that is filled in for a task", () => {
  test("knows the fields of Swarm", () => {
    const fields = [
      ...["Service.ID", "Service.Name", "Service.Labels", "Node.ID", "Node.Hostname"],
      ...["Node.Platform.OS", "Node.Platform.Architecture", "Task.ID", "Task.Name", "Task.Slot"],
    ];
    const text = fields.map((name) => `{{.${name}}}`).join(" ");
    expect(expandValue(text, context)).toEqual({
      ok: true,
      value: "s1 shop_web map[a.b:1 empty: zone:north] n1 pi-1 linux aarch64 t1 shop_web.2.t1 2",
    });
  });

  test("takes labels by index and by name; one that is missing is what Go makes of it", () => {
    const text =
      '{{index .Service.Labels "a.b"}}|{{index .Service.Labels "no"}}|' +
      "{{.Service.Labels.zone}}|{{.Service.Labels.no}}|{{.Service.Labels.toString}}";
    expect(expandValue(text, context)).toEqual({
      ok: true,
      value: "1||north|<no value>|<no value>",
    });
  });

  test("is left as it is where nothing is to be filled in", () => {
    expect(expandValue("{ a } }}", context)).toEqual({ ok: true, value: "{ a } }}" });
  });

  test("is no longer than a value may be", () => {
    const labels = { long: "x".repeat(30_000) };
    const wide = { ...context, service: { ...context.service, labels } };
    const text = "{{.Service.Labels.long}}".repeat(2);
    expect(expandValue(text, wide)).toMatchObject({ ok: false });
  });
});

describe("the content of a config or secret", () => {
  test("can put in variables, secrets and configs, which are not filled in themselves", () => {
    const text = '{{env "A"}} {{env "B"}} {{secret "password"}} {{config "x"}} {{.Node.Hostname}}';
    expect(filled(text)).toBe("one  {{.Node.ID}} cfg pi-1");
  });

  test("says what it asks for in vain", () => {
    expect(filled('{{secret "other"}}')).toBe("refused: it asks for a secret that is not there");
  });
});

describe("what the text alone tells of a template", () => {
  const problems: [text: string, place: "spec" | "content", problem: RegExp | undefined][] = [
    ["{{.Node.Hostname}}", "spec", undefined],
    ['{{index .Service.Labels "x"}}', "spec", undefined],
    ['{{env "A"}}', "content", undefined],
    ["{{env .Node.ID}}", "content", undefined],
    ['{{env "A"}}', "spec", /only the content of a config or secret/],
    ["{{.Node.Name}}", "spec", /names \.Node\.Name, which is not known; known are .*\.Task\.Slot$/],
    ["{{.Node}}", "spec", /names \.Node, which/],
    ["{{.constructor}}", "spec", /names \.constructor/],
    ["{{.Service.Labels.a.b}}", "spec", /not known/],
    ['{{index .Node.ID "x"}}', "spec", /uses index otherwise/],
    ['{{index .Service.Labels "x" "y"}}', "spec", /uses index otherwise/],
    ['{{secret "a" "b"}}', "content", /uses secret otherwise than as {{secret "NAME"}}/],
    ["{{secret}}", "content", /uses secret otherwise/],
    ['{{printf "%s" .Node.ID}}', "content", /uses printf, which is not supported/],
    ['{{toString "x"}}', "content", /uses toString, which is not supported/],
    [`{{.${"a".repeat(5000)}}}`, "spec", /^names \.a{60}…/],
  ];
  for (const [text, place, problem] of problems) {
    test(`${text.slice(0, 60)} in ${place}: ${String(problem ?? "nothing")}`, () => {
      const told = templateProblem(text, place);
      if (problem === undefined) expect(told).toBeUndefined();
      else expect(told).toMatch(problem);
    });
  }
});
