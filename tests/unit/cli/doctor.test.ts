import { describe, expect, test } from "bun:test";
import type { Diagnosis, Finding } from "../../../src/model/diagnosis.ts";
import { FakeIo, run } from "./fake-io.ts";

const advice: Finding = {
  check: "disks",
  level: "advice",
  what: "the disk fills up",
  why: "images go",
  remedy: "make room",
};
const fault: Finding = { ...advice, check: "ports", level: "fault", what: "port 80 is taken" };

const found = (...findings: Finding[]): Diagnosis => ({
  findings,
  checked: ["ports", "disks"],
  skipped: [],
});

describe("orchd doctor", () => {
  test("tells a fault in one line, and fails", async () => {
    const { code, out } = await run(["doctor"], new FakeIo(), found(fault, advice));
    expect(code).toBe(1);
    expect(out.split("\n")).toEqual([
      "fault   port 80 is taken: images go; make room",
      "advice  the disk fills up: images go; make room",
      "2 checks, 1 fault, 1 advice",
      "",
    ]);
  });

  test("does not fail for what is only advice, nor when all is well", async () => {
    expect((await run(["doctor"], new FakeIo(), found(advice))).code).toBe(0);
    const { code, out } = await run(["doctor"], new FakeIo(), found());
    expect([code, out]).toEqual([0, "2 checks, 0 faults\n"]);
  });

  test("prints the whole as JSON, with the same exit code", async () => {
    const { code, out } = await run(["doctor", "--json"], new FakeIo(), found(fault));
    expect([code, JSON.parse(out)]).toEqual([1, found(fault)]);
  });

  test("tells the examination how orchd runs here", async () => {
    const words = "doctor --data-dir data --gossip-port 7000 --ingress-http off --port 6000";
    const { examined } = await run(words.split(" "));
    expect(examined).toEqual([
      {
        dataDir: "/nowhere/data",
        serverPort: 6000,
        gossipPort: 7000,
        ingress: { http: 0, https: 443 },
      },
    ]);
  });

  test("shows nothing of a name that would steer the terminal", async () => {
    const evil = { ...fault, what: "port 80 is taken by \u001b[2J" };
    const { out } = await run(["doctor"], new FakeIo(), found(evil));
    expect(out).not.toInclude("\u001b");
  });
});
