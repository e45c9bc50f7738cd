import { expect, test } from "bun:test";
import { containerNameOf } from "../../../src/model/assignment.ts";
import { anAssignment, anId } from "../../builders.ts";

test("a container is named after its slot, but not after a node's id", () => {
  expect(containerNameOf(anAssignment("t"))).toBe("orchd-shop-web-1-txxxxxxxxxxx");
  expect(containerNameOf(anAssignment("t", { slot: anId("n1") }))).toBe(
    "orchd-shop-web-txxxxxxxxxxx",
  );
});
