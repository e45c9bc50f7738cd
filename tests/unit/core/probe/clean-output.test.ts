import { describe, expect, test } from "bun:test";
import { cleanOutput } from "../../../../src/core/probe/clean-output.ts";

describe("a program's output", () => {
  test("becomes one line without what terminals take for orders", () => {
    const output = "\u001b[31mred\u001b[0m\r\n\u001b]0;title\u0007\tdone\u0000\u202e.\u009b2J";
    expect(cleanOutput(output)).toBe("red done .2J".replace(".2J", ". 2J"));
  });

  test("keeps its end, and no half characters", () => {
    const cut = cleanOutput(`${"a".repeat(10_000)}end`);
    expect(cut).toHaveLength(400);
    expect(cut).toStartWith("…a");
    expect(cut).toEndWith("end");
    const emoji = cleanOutput("😀".repeat(1000));
    expect(emoji.isWellFormed()).toBe(true);
  });

  test("shows no secret of the environment, nor one in an address", () => {
    const environment = {
      DB_PASSWORD: "hunter2!",
      API_TOKEN: "hunter2!more",
      NAME: "web",
      KEY: "abc",
    };
    const output = "web: login hunter2! failed, hunter2!more, abc, postgres://me:pw@db/x";
    expect(cleanOutput(output, environment)).toBe(
      "web: login *** failed, ***, abc, postgres://***@db/x",
    );
  });

  test("shows nothing of a secret that the container reads, however its lines are broken", () => {
    const secrets = ["hunter2!\n", "-----BEGIN KEY-----\nMIIE\n-----END KEY-----\n", "abc"];
    const output = "login hunter2! failed, abc\n-----BEGIN KEY-----\nMIIE\n-----END KEY-----";
    expect(cleanOutput(output, {}, secrets)).toBe("login *** failed, abc ***");
  });

  test("of any bytes at all is bounded and takes no long time", () => {
    const hostile = [
      "\u001b]".repeat(2000),
      "\u001b[".repeat(2000),
      "://".repeat(1300),
      "\n".repeat(4096),
    ];
    for (const text of hostile) expect(cleanOutput(text).length).toBeLessThanOrEqual(400);
  });
});
