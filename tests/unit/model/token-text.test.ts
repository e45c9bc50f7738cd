import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../../src/lib/random.ts";
import {
  formatToken,
  newSecret,
  parseJoinTarget,
  parseToken,
} from "../../../src/model/token-text.ts";

const token = {
  caDigest: "0123456789abcdefghjkmnpqrstvwxyz".repeat(2).slice(0, 52),
  secret: newSecret(seededRandom("s")),
};
const text = formatToken(token);
const good = { ok: true, value: token } as const;

function problemIn(given: string): string {
  const parsed = parseToken(given);
  return parsed.ok ? "taken" : parsed.problem;
}

describe("a token", () => {
  test("is read as it was written", () => {
    expect(text).toHaveLength(93);
    expect(parseToken(text)).toEqual(good);
  });

  const typed: [string, string][] = [
    ["with spaces around it", `  ${text}\t`],
    ["with a line break at its end", `${text}\r\n`],
    ["broken into lines by a mail", `${text.slice(0, 40)}\n  ${text.slice(40)}`],
    ["with a space inside", `${text.slice(0, 20)} ${text.slice(20)}`],
    ["in capitals", text.toUpperCase()],
    [
      "with O for 0 and I or L for 1",
      text.slice(0, 8) + text.slice(8).replaceAll("0", "O").replace("1", "I").replaceAll("1", "l"),
    ],
  ];
  test.each(typed)("is taken %s", (_, given) => {
    expect(parseToken(given)).toEqual(good);
  });

  test("that is cut off anywhere is told from one that is wrong", () => {
    const problems = Array.from({ length: text.length - 1 }, (_, i) =>
      problemIn(text.slice(0, i + 1)),
    );
    const expected = problems.map(
      (_, i) => `the token is cut off: it has ${i + 1} of 93 characters, copy all of it`,
    );
    expect(problems).toEqual(expected);
  });

  const wrong: [string, string, string][] = [
    ["nothing", " \n", "the token is empty: copy all of it"],
    ["something else", "hunter2", "this is no token of orchd: one begins with ORCHD-1-"],
    [
      "one of a later kind",
      text.replace("-1-", "-2-"),
      "the token is one of another version of orchd: install the version of its server",
    ],
    [
      "one with more behind it",
      `${text}0`,
      "the token is too long: it has 94 characters and not 93, copy it again",
    ],
    [
      "one with a foreign character",
      text.replace(/.$/, "!"),
      "the token has a character that no token has: copy it again",
    ],
    [
      "one with a dash in the wrong place",
      text.replace(/-(.{32})$/, "$1-"),
      "the token is damaged: copy it again",
    ],
  ];
  test.each(wrong)("is not %s", (_, given, problem) => {
    expect(problemIn(given)).toBe(problem);
  });

  test("is never repeated in what is said of it", () => {
    const problems = [text.slice(0, 60), `${text}00`, text.replace(/.$/, "!")].map(problemIn);
    expect(problems.join("\n")).not.toContain(token.caDigest.slice(0, 8));
    expect(problems.join("\n")).not.toContain(token.secret.slice(0, 8));
  });
});

describe("where to join", () => {
  const targets: [string, string[]][] = [
    ["", []],
    ["@192.0.2.1", ["192.0.2.1:6770"]],
    ["@192.0.2.1:7000", ["192.0.2.1:7000"]],
    ["@server.example:6770,[2001:db8::1]:99", ["server.example:6770", "[2001:db8::1]:99"]],
    [" @ 192.0.2.1 , 192.0.2.2 ", ["192.0.2.1:6770", "192.0.2.2:6770"]],
  ];
  test.each(targets)("is named behind the token: %s", (behind, servers) => {
    expect(parseJoinTarget(text + behind)).toEqual({ ok: true, value: { token, servers } });
  });

  test("is refused when it is no address", () => {
    const forms = "write it like 192.0.2.1:6770, server.example:6770 or [2001:db8::1]:6770";
    for (const address of [
      "",
      "a:0",
      "a:65536",
      "a:b",
      "2001:db8::1",
      "a b:1:2",
      "-x",
      "http://a",
    ]) {
      const shown = JSON.stringify(address.replaceAll(" ", ""));
      expect(parseJoinTarget(`${text}@${address}`)).toEqual({
        ok: false,
        problem: `${shown} is no address of a server: ${forms}`,
      });
    }
  });

  test("does not matter while the token is cut off", () => {
    expect(parseJoinTarget(`${text.slice(0, 50)}@192.0.2.1`)).toEqual({
      ok: false,
      problem: "the token is cut off: it has 50 of 93 characters, copy all of it",
    });
  });
});
