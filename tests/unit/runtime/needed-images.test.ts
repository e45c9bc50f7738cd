import { expect, test } from "bun:test";
import { isNeeded, unnamedFirst } from "../../../src/runtime/podman/needed-images.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;
const IMAGE = {
  id: "b".repeat(64),
  references: ["docker.io/library/nginx:latest", "registry.example:5000/web:1"],
  digests: [`docker.io/library/nginx@${DIGEST}`],
};

test("an image is needed by every spelling of one of its names", () => {
  for (const name of [
    "nginx",
    "nginx:latest",
    "docker.io/library/nginx",
    "registry.example:5000/web:1",
    `nginx@${DIGEST}`,
    `nginx:1.2@${DIGEST}`,
    IMAGE.id,
    `sha256:${IMAGE.id}`,
  ]) {
    expect([name, isNeeded(IMAGE, [name])]).toEqual([name, true]);
  }
});

test("an image is not needed by another name", () => {
  const others = ["nginx:1", "web:1", "registry.example:5000/web", `web@${DIGEST}`, "", ":1"];
  expect(isNeeded(IMAGE, others)).toBe(false);
});

test("images that have lost their name come first, and otherwise in their order", () => {
  const unnamed = { ...IMAGE, id: "c", references: [] };
  const others = ["x", "y"].map((id) => ({ ...IMAGE, id }));
  const ids = unnamedFirst([...others, unnamed]).map(({ id }) => id);
  expect(ids).toEqual(["c", "x", "y"]);
});
