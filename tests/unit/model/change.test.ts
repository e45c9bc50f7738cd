import { expect, test } from "bun:test";
import { keyOf, put, remove } from "../../../src/model/change.ts";
import { aNode, aService, aStack, aTask } from "../../builders.ts";

test("a stack is stored under its name, everything else under its id", () => {
  const service = aService();
  const task = aTask(service, "t");
  const keys = [put.stack(aStack()), put.service(service), put.task(task), put.node(aNode())];
  expect(keys.map(keyOf)).toEqual(["shop", service.id, task.id, aNode().id]);
});

test("a deletion names what it deletes and the version at which it was read", () => {
  expect([
    remove.stack(aStack("shop", { version: 4 })),
    remove.node(aNode("n1", { version: 2 })),
  ]).toEqual([
    { kind: "stack", op: "delete", key: "shop", version: 4 },
    { kind: "node", op: "delete", key: aNode().id, version: 2 },
  ]);
  expect(keyOf(remove.stack(aStack()))).toBe("shop");
});
