import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expectGolden } from "../golden-file.ts";
import { Session } from "./session.ts";

/** Runs the file's commands, which begin with `> `, and puts what happened after each. */
function replay(text: string): string {
  const session = new Session();
  const lines = text.split("\n").filter((line) => line.startsWith("> ") || line.startsWith("#"));
  const told: string[] = [];
  for (const line of lines) {
    if (line.startsWith("#")) told.push("", line);
    else told.push(line, ...session.run(line.slice(2)));
  }
  return `${told.join("\n").trimStart()}\n`;
}

describe("a session goes as it is written down", () => {
  const files = readdirSync(import.meta.dir).filter((name) => name.endsWith(".txt"));
  for (const name of files.sort()) {
    test(name.replace(/\.txt$/, "").replaceAll("-", " "), () => {
      const path = join(import.meta.dir, name);
      expectGolden(path, replay(readFileSync(path, "utf8")));
    });
  }

  test("and there are sessions to read", () => {
    expect(files.length).toBeGreaterThan(3);
  });
});
