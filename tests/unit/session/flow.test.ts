import { describe, expect, test } from "bun:test";
import type { LogLine } from "../../../src/model/session.ts";
import { WINDOW_BYTES } from "../../../src/session/session-stream.ts";
import { anAssignment, anId, aStatus } from "../../builders.ts";
import { settled } from "../../sim/virtual-clock.ts";
import { linesOf, Rig } from "./rig.ts";

const task = anId<"task">("t");
const LINE = "x".repeat(8000);

/** Prints without end, and counts. */
function endless() {
  const printed = { lines: 0 };
  const logLines = async function* (): AsyncGenerator<LogLine> {
    for (;;) {
      printed.lines += 1;
      yield { at: 1, stream: "stdout", text: LINE };
    }
  };
  return { printed, logLines };
}

function follow(remote: Awaited<ReturnType<Rig["joined"]>>["remote"]) {
  return remote.logs(task, { follow: true }, new AbortController().signal);
}

describe("a reader that stops reading", () => {
  test("stops the printing on the node after one window", async () => {
    const rig = new Rig();
    const { agent, remote } = await rig.joined();
    const { printed, logLines } = endless();
    agent.logLines = logLines;
    const reading = follow(remote);
    await reading.next();
    await settled();
    const before = printed.lines;
    expect(before * LINE.length).toBeLessThan(2 * WINDOW_BYTES);
    await rig.pass(10_000);
    expect(printed.lines).toBe(before);
    for (let i = 0; i < 1000; i++) await reading.next();
    expect(printed.lines).toBeGreaterThan(1000);
    await reading.return(undefined);
  });

  test("holds back no other stream, no status and no set", async () => {
    const rig = new Rig();
    const { agent, remote, end } = await rig.joined();
    agent.logLines = endless().logLines;
    const stalled = Array.from({ length: 50 }, () => follow(remote));
    for (const reading of stalled) await reading.next();
    agent.logLines = () => linesOf(["quick"]);
    const quick = follow(remote);
    expect((await quick.next()).value).toMatchObject({ text: "quick" });
    await end.report([aStatus("t1")]);
    remote.assign({ generation: 2, assignments: [anAssignment("t2")] });
    await settled();
    expect(agent.sets.at(-1)?.generation).toBe(2);
    expect((await remote.images()).length).toBe(1);
    for (const reading of stalled) await reading.return(undefined);
  });
});

describe("a link that is slow", () => {
  test("gets no more of what can wait than it carries, and what is urgent goes first", async () => {
    const rig = new Rig();
    const { agent, remote, agentLink, end } = await rig.joined();
    agent.logLines = endless().logLines;
    agentLink.hold();
    const readings = Array.from({ length: 20 }, () => follow(remote));
    for (const reading of readings) void reading.next();
    await rig.pass(100);
    const report = end.report([aStatus("t1")]);
    await settled();
    expect(agentLink.bufferedMax).toBeLessThan(400_000);
    expect(agentLink.sent.at(-1)).toContain('"statuses"');
    agentLink.release();
    await report;
    for (const reading of readings) await reading.return(undefined);
  });
});

describe("streams of one session", () => {
  test("take turns, whoever has more to say", async () => {
    const rig = new Rig();
    const { agent, remote, agentLink } = await rig.joined();
    const { logLines } = endless();
    agent.logLines = logLines;
    const loud = follow(remote);
    agent.logLines = () => linesOf(Array.from({ length: 10 }, () => LINE));
    const brief = follow(remote);
    void loud.next();
    const lines: unknown[] = [];
    for await (const line of brief) lines.push(line);
    expect(lines.length).toBe(10);
    expect(agentLink.closed).toBeUndefined();
    await loud.return(undefined);
  });

  test("are bounded in number, and one more can begin when one has ended", async () => {
    const rig = new Rig();
    const { agent, remote } = await rig.joined();
    agent.logLines = async function* (signal) {
      yield* linesOf(["x"]);
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    };
    const open = Array.from({ length: 1024 }, () => follow(remote));
    for (const reading of open) void reading.next();
    const error: unknown = await remote.images().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "conflict", retryable: true });
    await rig.pass(100);
    await open[0]?.return(undefined);
    expect((await remote.images()).length).toBe(1);
  });
});
