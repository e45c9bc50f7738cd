import { expect, test } from "bun:test";
import { lineLog } from "../../../src/lib/log.ts";
import { Trouble } from "../../../src/lib/trouble.ts";

function aTrouble(level?: "warn" | "error") {
  const said: string[] = [];
  const log = lineLog(
    (line) => void said.push(line.trim()),
    () => "now",
  );
  return { said, trouble: new Trouble(log, "the disk takes it again", level) };
}

test("trouble that lasts is told when it begins, when it changes and when it is over", () => {
  const { said, trouble } = aTrouble();
  const isNews = [1, 2, 3].map(() => trouble.note("the disk is full"));
  expect(isNews).toEqual([true, false, false]);
  expect(trouble.isThere).toBeTrue();
  for (let i = 0; i < 3; i++) trouble.note("the disk is gone");
  for (let i = 0; i < 3; i++) trouble.over();
  expect(trouble.isThere).toBeFalse();
  trouble.note("the disk is full");
  expect(said).toEqual([
    "now warn  the disk is full",
    "now warn  the disk is gone",
    "now info  the disk takes it again",
    "now warn  the disk is full",
  ]);
});

test("what never went wrong is not told of", () => {
  const { said, trouble } = aTrouble("error");
  trouble.over();
  expect(said).toEqual([]);
  trouble.note("the disk is full");
  expect(said).toEqual(["now error the disk is full"]);
});
