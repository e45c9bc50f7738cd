import { describe, expect, test } from "bun:test";
import { loadText, problemsOf, serviceOf } from "./load-text.ts";

const MIB = 1024 * 1024;
const repeat = (count: number, make: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => make(i));

describe("a text that is made to do harm is one clear problem", () => {
  const onlyProblem = (text: string) => {
    const { problems, spec } = loadText(text);
    expect(spec).toBeUndefined();
    expect(problems).toHaveLength(1);
    return problems[0]?.message ?? "";
  };

  test("aliases that multiply", () => {
    const levels = repeat(9, (i) => `x${i + 1}: &x${i + 1} [${`*x${i},`.repeat(9)}]`);
    expect(onlyProblem(`x0: &x0 [a]\n${levels.join("\n")}`)).toContain("once aliases are followed");
  });

  test("merge keys that multiply", () => {
    const keys = repeat(1000, (i) => `k${i}: 1`).join(", ");
    const merges = repeat(1000, (i) => `m${i}: {<<: [*a, *a, *a]}`).join("\n");
    expect(onlyProblem(`a: &a {${keys}}\n${merges}`)).toContain("once aliases are followed");
  });

  test("collections within collections", () => {
    for (const opening of ["[", "{a: ", "- ", "? "]) {
      expect(onlyProblem(opening.repeat(100_000))).toBe(
        "collections are nested deeper than 64 levels",
      );
    }
    const lines = repeat(1000, (i) => `${" ".repeat(i)}a:`);
    expect(onlyProblem(lines.join("\n"))).toContain("nested deeper");
  });

  test("too much of anything", () => {
    expect(onlyProblem("#".repeat(MIB + 1))).toBe("the file is larger than 1 MiB");
    expect(onlyProblem("- a\n".repeat(200_000))).toBe("the file has too many parts");
    const bomb = `services: {a: {image: a, command: "${"${A}".repeat(200)}"}}`;
    const result = loadText(bomb, { environment: { A: "x".repeat(100_000) } });
    expect(problemsOf(result)).toEqual([expect.stringContaining("grows too large")]);
  });

  test("defaults within defaults", () => {
    const nested = `${"${A:-".repeat(1000)}${"}".repeat(1000)}`;
    expect(onlyProblem(`services: {a: {image: "${nested}"}}`)).toContain("nested too deeply");
  });

  test("what is no Compose file", () => {
    expect(onlyProblem("")).toBe("the file is empty");
    expect(onlyProblem(" \n\t\n")).toBe("the file is empty");
    expect(onlyProblem("# nothing")).toBe("the file holds nothing but comments");
    expect(onlyProblem("hello")).toBe("the file is a single value, not a mapping with services");
    expect(onlyProblem("- a")).toBe("the file is a list, not a mapping with services");
    expect(onlyProblem("services: {}")).toBe("the files have no services");
    expect(onlyProblem("volumes: {}")).toBe("the files have no services");
    expect(onlyProblem('"\0"')).toContain("NUL");
  });
});

test("a variable that names itself in its default is expanded once", () => {
  const result = loadText('services: {a: {image: a, command: "${A:-${A}}"}}', {
    environment: { A: "${A}" },
  });
  expect(serviceOf(result, "a").container.command).toEqual(["${A}"]);
});

test("a byte order mark and CR LF change nothing, and places stay right", () => {
  const result = loadText("\uFEFFservices:\r\n  web:\r\n    image: a\r\n    foo: 1\r\n");
  expect(problemsOf(result)).toEqual([
    "compose.yaml:4:5: error: services.web.foo is not a property of a service",
  ]);
});

test("names of JavaScript's own objects are names like any other", () => {
  const text = "services: {constructor: {image: a, environment: {toString: x, valueOf: }}}";
  const result = loadText(text);
  expect(serviceOf(result, "constructor").container.environment).toEqual({ toString: "x" });
  const misplaced = loadText("services: {web: {image: a, hasOwnProperty: 1}}");
  expect(problemsOf(misplaced)[0]).toContain("hasOwnProperty is not a property of a service");
});

test("no value from a file or the shell can forge a line of a message", () => {
  const result = loadText(
    'services: {web: {image: "${A:?x\\ny.yaml:1:1: error: z}", "\\e[2Jk": 1}}',
  );
  for (const line of problemsOf(result)) expect(line).toMatch(/^[\u0020-\u007e]+$/);
});

test("a thousand services load", () => {
  const services = repeat(1000, (i) => {
    return `  s${i}: {image: a, ports: ["${i + 1000}:80"], deploy: {replicas: 3}}`;
  });
  const result = loadText(`services:\n${services.join("\n")}`);
  expect(Object.keys(result.spec?.services ?? {})).toHaveLength(1000);
  const more = loadText(`services:\n${services.join("\n")}\n  last: {image: a}`);
  expect(problemsOf(more)).toEqual(["compose.yaml:1:1: error: there are more than 1000 services"]);
});

test("a very long value is refused at once", () => {
  const long = (middle: string) => `a${middle.repeat(16_000)}b`;
  const values = [
    `deploy: {placement: {constraints: ["k == ${long(" ")} x", "${long("=!")}"]}}`,
    `ports: ["${long("1:")}", "${long("[")}", "${long("1-")}"]`,
    `image: "${long("a-")}/"`,
    `devices: ["/a:/b:${long("r")}", "${long("/")}"]`,
    `volumes: ["${long("/..")}:/x", "${long(":")}"]`,
    `stop_grace_period: "${long("1m")}"`,
    `mem_limit: "${long("1")}"`,
    `cpuset: "${long("1,")}"`,
    `hostname: "${long("a.")}"`,
    `extra_hosts: ["${long("a.")}:${long("1:")}"]`,
    `dns: "${long("::")}"`,
    `security_opt: ["${long("=")}"]`,
    `stop_signal: "${long("A+")}"`,
    `command: '${long(" ")}"'`,
    `restart: "on-failure:${long("0")}"`,
  ];
  for (const value of values) {
    const result = loadText(
      `services: {web: {image: a, ${value}}}`.replace("image: a, image", "image"),
    );
    expect(result.problems.length).toBeGreaterThan(0);
  }
});
