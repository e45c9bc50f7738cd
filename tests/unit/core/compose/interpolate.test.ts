import { expect, test } from "bun:test";
import { interpolate, type InterpolationIssue } from "../../../../src/core/compose/interpolate.ts";
import { lookupIn } from "../../../../src/core/compose/read/environment.ts";

const lookup = lookupIn({ SET: "value", EMPTY: "", DOLLAR: "$SET" });

function expand(template: string): { text: string; issues: string[] } {
  const issues: InterpolationIssue[] = [];
  const text = interpolate(template, lookup, (issue) => issues.push(issue));
  return { text, issues: issues.map(({ severity, token }) => `${severity} ${token}`) };
}

test("every form of a variable means what the Compose Specification says", () => {
  const forms: Record<string, string> = {
    $SET: "value",
    "${SET}": "value",
    "a${SET}b$SET.c": "avaluebvalue.c",
    "${NONE-d}${EMPTY-d}${SET-d}": "dvalue",
    "${NONE:-d}${EMPTY:-d}${SET:-d}": "ddvalue",
    "${SET?m}${SET:?m}[${EMPTY?m}]": "valuevalue[]",
    "${NONE+a}${EMPTY+a}${SET+a}": "aa",
    "${NONE:+a}${EMPTY:+a}${SET:+a}": "a",
    "${NONE:-${EMPTY:-${SET}}}": "value",
    "${NONE:-}": "",
    "${NONE:-a:-b}": "a:-b",
    "$$SET $${SET} $$$SET": "$SET ${SET} $value",
    $DOLLAR: "$SET",
    "no variable": "no variable",
  };
  for (const [template, text] of Object.entries(forms)) {
    expect({ template, ...expand(template) }).toEqual({ template, text, issues: [] });
  }
});

test("an unset variable is blank with a warning, but not where it is not used", () => {
  expect(expand("[$NONE]")).toEqual({ text: "[]", issues: ["warning $NONE"] });
  expect(expand("${SET:-${NONE}}")).toEqual({ text: "value", issues: [] });
  expect(expand("${NONE:+${OTHER}}")).toEqual({ text: "", issues: [] });
});

test("a required variable that is missing, and what is no variable, are errors", () => {
  expect(expand("${NONE?why}").issues).toEqual(["error ${NONE"]);
  expect(expand("${EMPTY:?why}").issues).toEqual(["error ${EMPTY"]);
  for (const template of ["$", "a$ b", "$1", "${", "${}", "${1}", "${A", "${A:-b", "${A!b}"]) {
    const { issues } = expand(template);
    expect({ template, first: issues[0]?.split(" ")[0] }).toEqual({ template, first: "error" });
    expect(issues).toHaveLength(1);
  }
});
