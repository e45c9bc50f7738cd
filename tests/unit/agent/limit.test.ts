import { expect, test } from "bun:test";
import { Limit } from "../../../src/agent/limit.ts";

/** Work that ends when somebody says so. */
function gateOf(name: string) {
  const { promise, resolve } = Promise.withResolvers<string>();
  return { name, run: () => promise, resolve };
}
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test("no more than the limit runs at once, and the others follow in their order", async () => {
  const limit = new Limit(2);
  const begun: string[] = [];
  const gates = ["a", "b", "c", "d"].map(gateOf);
  const all = gates.map(({ name, run }) =>
    limit.run(() => {
      begun.push(name);
      return run();
    }),
  );
  await turn();
  expect(begun).toEqual(["a", "b"]);
  gates[1]?.resolve("b");
  await turn();
  expect(begun).toEqual(["a", "b", "c"]);
  for (const { name, resolve } of gates) resolve(name);
  expect(await Promise.all(all)).toEqual(["a", "b", "c", "d"]);
});

test("work that fails gives its place to the next, and its error to its caller", async () => {
  const limit = new Limit(1);
  const first = limit.run(async () => {
    throw new Error("no luck");
  });
  const second = limit.run(async () => "luck");
  expect(await first.catch((error: Error) => error.message)).toBe("no luck");
  expect(await second).toBe("luck");
});
