import { describe, expect, test } from "bun:test";
import { expandTemplate, parseTemplate, type Expression } from "../../../src/lib/go-template.ts";

/** Each expression as it was understood, in angle brackets. */
function shown(text: string): string {
  const parsed = parseTemplate(text);
  if (!parsed.ok) return `refused: it ${parsed.problem}`;
  const expanded = expandTemplate(parsed.value, (one) => ({ ok: true, value: words(one) }), 1000);
  return expanded.ok ? expanded.value : `refused: it ${expanded.problem}`;
}

function words(part: Expression): string {
  if (part.type === "field") return `<${part.path.join(".")}>`;
  const args = part.args.map((arg) => (typeof arg === "string" ? JSON.stringify(arg) : words(arg)));
  return `<${[part.name, ...args].join(" ")}>`;
}

describe("a template", () => {
  // What comes out is what Go's text/template makes of the same text.
  const cases: [text: string, outcome: string][] = [
    ["", ""],
    ["plain } } { {", "plain } } { {"],
    ["a {{.Node.Hostname}} b", "a <Node.Hostname> b"],
    ["{{ .A }}{{\n.B\n}}", "<A><B>"],
    ['{{index .Service.Labels "x"}}', '<index <Service.Labels> "x">'],
    ['{{env "X"}}', '<env "X">'],
    ["{{env `X\\n`}}", '<env "X\\\\n">'],
    ['{{"{{"}} and {{`}}`}}', "{{ and }}"],
    ['{{"a\\tb\\"c\\\\\\x41\\101\\u00e9\\U0001F600"}}', 'a\tb"c\\AAé😀'],
    ["a \n {{- .X -}} \t b", "a<X>b"],
    ["a {{/* no {{ matter */}} b", "a  b"],
    ["a {{- /* gone */ -}} b", "ab"],
    ["{{.Ünder_1}}", "<Ünder_1>"],
  ];
  for (const [text, outcome] of cases) {
    test(`${JSON.stringify(text)} is understood as in Go`, () => expect(shown(text)).toBe(outcome));
  }

  const refused: [text: string, problem: RegExp][] = [
    ["{{", /not closed with }}/],
    ["{{.A", /not closed with }}/],
    ['{{"a}}', /a " that is not closed/],
    ['{{"a\nb"}}', /a " that is not closed/],
    ["{{`a}}", /a ` that is not closed/],
    ["{{/* a }}", /a comment that is not closed/],
    ["{{}}", /nothing in it/],
    ["{{range .X}}{{end}}", /uses range/],
    ["{{if .X}}a{{end}}", /uses if/],
    ['{{template "x"}}', /uses template/],
    ['{{define "x"}}{{end}}', /uses define/],
    ["{{.A | upper}}", /a pipeline/],
    ["{{$x := .A}}", /a variable/],
    ["{{(.A)}}", /parentheses/],
    ["{{1}}", /a number/],
    ["{{-1}}", /a number/],
    ["{{'a'}}", /a character constant/],
    ["{{true}}", /the constant true/],
    ["{{.}}", /a dot that names no field/],
    ["{{.A .B}}", /arguments behind what is no function/],
    ["{{env env}}", /env as an argument/],
    ['{{"a\\q"}}', /a backslash/],
    ['{{"\\xff"}}', /a backslash/],
    ['{{"\\ud800"}}', /a backslash/],
    ['{{env"X""Y"}}', /does not belong|not closed|nothing/],
    ["{{#}}", /does not belong/],
  ];
  for (const [text, problem] of refused) {
    test(`${JSON.stringify(text)} is refused with a sentence`, () => {
      expect(shown(text)).toMatch(problem);
    });
  }
});

test("what comes out is bounded", () => {
  const parsed = parseTemplate("{{.A}}".repeat(100));
  if (!parsed.ok) throw new Error(parsed.problem);
  const long = () => ({ ok: true as const, value: "x".repeat(1000) });
  expect(expandTemplate(parsed.value, long, 50_000)).toMatchObject({
    ok: false,
    problem: "becomes longer than 50000 characters",
  });
});

test("megabytes of braces are taken apart before anybody gives up waiting", () => {
  const texts = ["{{".repeat(500_000), "{{.A}}".repeat(150_000), `{{${" ".repeat(1e6)}`];
  expect(texts.map((text) => parseTemplate(text).ok)).toEqual([false, true, false]);
});
