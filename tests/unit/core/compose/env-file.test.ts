import { expect, test } from "bun:test";
import { formatProblem, ProblemList } from "../../../../src/core/compose/problem.ts";
import { parseEnvFile, parseRawEnvFile } from "../../../../src/core/compose/read/env-file.ts";
import { lookupIn } from "../../../../src/core/compose/read/environment.ts";
import { sourceFile } from "../../../../src/core/compose/source-file.ts";

function read(text: string, parse = parseEnvFile) {
  const problems = new ProblemList();
  const file = sourceFile({
    path: "/p/.env",
    text,
    order: 0,
    directory: "/p",
    projectDirectory: "/p",
    lookup: lookupIn({ SHELL: "shell" }),
  });
  const variables = Object.fromEntries(parse(file, problems));
  return { variables, problems: problems.sorted().map(formatProblem) };
}

test("an env file is read as Compose reads it", () => {
  const text = [
    "# a comment",
    "",
    "PLAIN=a b  ",
    "COMMENT=a # not this",
    "HASH=a#b",
    "EMPTY=",
    "ONLY_COMMENT= # nothing",
    "export EXPORTED=1",
    "  INDENTED = 1",
    "COLON: yes",
    "SINGLE='a $SHELL \\n # b'  # c",
    'DOUBLE="a $SHELL \\"b\\" \\$SHELL\\tc\\\\"',
    'LINES="one',
    'two"',
    "USES=${PLAIN}/${SHELL}/${NONE:-none}",
    "INHERITED",
    "dotted.key-1=x",
    "EQUALS=a=b",
  ].join("\r\n");
  expect(read(text)).toEqual({
    variables: {
      PLAIN: "a b",
      COMMENT: "a",
      HASH: "a#b",
      EMPTY: "",
      ONLY_COMMENT: "",
      EXPORTED: "1",
      INDENTED: "1",
      COLON: "yes",
      SINGLE: "a $SHELL \\n # b",
      DOUBLE: 'a shell "b" $SHELL\tc\\',
      LINES: "one\ntwo",
      USES: "a b/shell/none",
      INHERITED: undefined,
      "dotted.key-1": "x",
      EQUALS: "a=b",
    },
    problems: [],
  });
});

test("each line that can't be read is told with its place", () => {
  expect(read("A=1\n2=x\nB C\nD='open\n")).toEqual({
    variables: { A: "1" },
    problems: [
      '.env:2:1: error: "2=x" is not the name of a variable',
      '.env:3:1: error: "B" is followed by neither "=" nor the end of its line',
      '.env:4:1: error: the value of "D" has no closing \'',
    ],
  });
  expect(read('A="b" c').problems).toEqual([
    '.env:1:1: error: the value of "A" goes on after its closing "',
  ]);
  expect(read("A=1\nB=x${NONE}").problems).toEqual([
    ".env:2:4: warning: the value uses the variable NONE, which is not set; it is left blank",
  ]);
});

test("a raw env file is taken as it stands", () => {
  const { variables, problems } = read(
    `A="b" # c\n#x\nB=$A\n\n C=d\nD\n__proto__=1`,
    parseRawEnvFile,
  );
  expect(variables).toEqual({ A: '"b" # c', B: "$A", C: "d", D: undefined });
  expect(problems).toEqual(['.env:7:1: error: "__proto__" is not the name of a variable']);
});
