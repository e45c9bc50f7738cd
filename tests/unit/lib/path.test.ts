import { expect, test } from "bun:test";
import {
  directoryOf,
  joinPath,
  lastSegmentOf,
  normalisePath,
  relativeTo,
} from "../../../src/lib/path.ts";

test("a normal path has no dots, no empty segments and no end slash", () => {
  const paths = ["/a/./b//c/", "/a/../../b", "a/../..", "./a", "", "/", "../a/.."];
  expect(paths.map(normalisePath)).toEqual(["/a/b/c", "/b", "..", "a", ".", "/", ".."]);
});

test("a relative path is seen from its base, an absolute one stands for itself", () => {
  expect(joinPath("/srv/shop", "../data")).toBe("/srv/data");
  expect(joinPath("/srv/shop", "/etc//x")).toBe("/etc/x");
  expect(joinPath("/srv/shop", ".")).toBe("/srv/shop");
});

test("a path falls into its directory and its last segment", () => {
  expect(["/a/b", "/a", "a", "a/b"].map(directoryOf)).toEqual(["/a", "/", ".", "a"]);
  expect(["/a/b", "/", "a"].map(lastSegmentOf)).toEqual(["b", "", "a"]);
});

test("only what is below a directory is told relative to it", () => {
  expect(relativeTo("/a", "/a/b/c")).toBe("b/c");
  expect(relativeTo("/", "/b")).toBe("b");
  expect(relativeTo("/a", "/ab")).toBe("/ab");
  expect(relativeTo("/a", "/a")).toBe("/a");
});
