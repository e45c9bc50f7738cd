import { expect, test } from "bun:test";
import { lockNetwork } from "../../../src/net/machine-lock.ts";

test("a machine's container network belongs to one orchd at a time", async () => {
  const name = `test-${process.pid}`;
  const first = await lockNetwork(name);
  const error = await lockNetwork(name).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({
    code: "conflict",
    message:
      `another orchd runs containers on this machine, in the network ${name}: ` +
      "stop it, or start this one with --runtime fake or --no-agent",
  });
  first.release();
  (await lockNetwork(name)).release();
});
