import { expect } from "bun:test";
import type { TaskId } from "../../src/model/ids.ts";
import type { ExecOptions, ExecSession, LogOptions } from "../../src/model/session.ts";
import type { Tools } from "./runtime.ts";
import { failureOf, until } from "./runtime-until.ts";

export function logCases({ lab, create, run, test }: Tools): void {
  const textsOf = async (taskId: TaskId, options: LogOptions): Promise<string[]> => {
    const texts: string[] = [];
    const { signal } = new AbortController();
    for await (const line of lab().runtime.logs(taskId, options, signal)) texts.push(line.text);
    return texts;
  };
  const prints = ["one", "two", "three"];

  test("logs give what was printed, with the time and the stream", async () => {
    const before = Date.now() - 2000;
    const taskId = await run({ prints });
    await until("three lines", async () => (await textsOf(taskId, { follow: false })).length === 3);
    const { signal } = new AbortController();
    for await (const line of lab().runtime.logs(taskId, { follow: false }, signal)) {
      expect(line.stream).toBe("stdout");
      expect(line.at).toBeGreaterThan(before);
    }
    expect(await textsOf(taskId, { follow: false })).toEqual(prints);
  });

  test("a followed log ends when its container has, with everything in it", async () => {
    const taskId = await run({ prints, exitAfterMs: 200 });
    expect(await textsOf(taskId, { follow: true })).toEqual(prints);
    expect(await textsOf(taskId, { follow: true })).toEqual(prints);
  });

  test("a log can be followed before its container starts", async () => {
    const { taskId } = await create({ prints, exitAfterMs: 100 });
    const texts = textsOf(taskId, { follow: true });
    await lab().runtime.start(taskId);
    expect(await texts).toEqual(prints);
  });

  test("a followed log ends when its reader gives up", async () => {
    const taskId = await run({ prints });
    const enough = new AbortController();
    const texts: string[] = [];
    for await (const line of lab().runtime.logs(taskId, { follow: true }, enough.signal)) {
      texts.push(line.text);
      if (texts.length === 3) enough.abort();
    }
    expect(texts).toEqual(prints);
  });

  test("a followed log ends when its container is removed", async () => {
    const taskId = await run({ prints });
    let removed: Promise<void> | undefined;
    const { signal } = new AbortController();
    for await (const _ of lab().runtime.logs(taskId, { follow: true }, signal)) {
      removed ??= lab().removeBehindBack(taskId);
    }
    await removed;
    expect(await lab().runtime.inspect(taskId)).toBeUndefined();
  });

  test("tail gives the last lines only, and since none from before", async () => {
    const taskId = await run({ prints, exitAfterMs: 0 });
    // The tail is of what is there already.
    await until("three lines", async () => (await textsOf(taskId, { follow: false })).length === 3);
    expect(await textsOf(taskId, { follow: true, tail: 2 })).toEqual(["two", "three"]);
    expect(await textsOf(taskId, { follow: false, tail: 0 })).toEqual([]);
    expect(await textsOf(taskId, { follow: false, tail: 99 })).toEqual(prints);
    expect(await textsOf(taskId, { follow: false, since: Date.now() + 60_000 })).toEqual([]);
    expect(await textsOf(taskId, { follow: false, since: Date.now() - 60_000 })).toEqual(prints);
  });
}

const FULL_LOG_MS = 60_000;

export function fullLogCases({ lab, run, test }: Tools): void {
  test(
    "of a log that is full the end is kept, of 10 MB three times, without a gap",
    async () => {
      const { runtime } = lab();
      const line = "x".repeat(1000);
      // Slowly enough that whoever only looks now and then sees each file.
      const more = `echo $i ${line}; i=$((i+1)); [ $((i%4000)) -gt 0 ] || sleep 0.3`;
      const script = `i=0; while [ $i -lt 40000 ]; do ${more}; done`;
      const taskId = await run({}, { command: ["/bin/sh", "-c", script] });
      await until(
        "its end",
        async () => {
          const status = await runtime.inspect(taskId);
          await runtime.upkeep?.keepLogs([status?.containerId ?? ""]);
          return status?.state === "exited";
        },
        FULL_LOG_MS,
      );
      const texts: string[] = [];
      const { signal } = new AbortController();
      for await (const { text } of runtime.logs(taskId, { follow: true }, signal)) texts.push(text);
      // The first may be the rest of a line that began in a file that is gone.
      const numbers = texts.slice(1).map((text) => Number(text.split(" ")[0]));
      const first = numbers[0] ?? Number.NaN;
      expect(numbers).toEqual(Array.from({ length: 40_000 - first }, (_, i) => first + i));
      const bytes = texts.reduce((sum, { length }) => sum + length + 1, 0);
      expect(bytes).toBeGreaterThan(10_000_000);
      expect(bytes).toBeLessThan(3 * 10 * 1024 * 1024);
    },
    2 * FULL_LOG_MS,
  );
}

export function execCases({ lab, run, create, test }: Tools): void {
  const options = (change: Partial<ExecOptions> = {}): ExecOptions => ({
    command: ["/bin/sh"],
    tty: false,
    stdin: true,
    environment: { PATH: "/bin" },
    ...change,
  });
  const outputOf = async (session: ExecSession): Promise<string> => {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of session.output) text += decoder.decode(chunk.data, { stream: true });
    return text;
  };
  const bytes = (text: string) => new TextEncoder().encode(text);

  test("a command runs in a task, with its input, its output and its exit code", async () => {
    const session = await lab().runtime.exec(await run(), options({ command: ["/bin/cat"] }));
    const text = outputOf(session);
    await session.write(bytes("hello\n"));
    await session.write(bytes("there\n"));
    session.closeStdin();
    expect(await text).toBe("hello\nthere\n");
    expect(await session.exitCode).toBe(0);
  });

  test("a command's own exit code comes back", async () => {
    const session = await lab().runtime.exec(await run(), options());
    const text = outputOf(session);
    await session.write(bytes("exit 7\n"));
    await text;
    expect(await session.exitCode).toBe(7);
  });

  test("a command without input runs to its end", async () => {
    const command = ["echo", "done"];
    const session = await lab().runtime.exec(await run(), options({ command, stdin: false }));
    expect(await outputOf(session)).toContain("done");
    expect(await session.exitCode).toBe(0);
  });

  test("a terminal takes a size, and gives back what is typed", async () => {
    const size = { columns: 132, rows: 40 };
    const session = await lab().runtime.exec(await run(), options({ tty: true, size }));
    const text = outputOf(session);
    await session.resize({ columns: 100, rows: 30 });
    await session.write(bytes("echo typed\n"));
    await session.write(bytes("exit 5\n"));
    expect(await text).toContain("typed");
    expect(await session.exitCode).toBe(5);
  });

  test("a session that is given up ends its output", async () => {
    const session = await lab().runtime.exec(await run(), options());
    const text = outputOf(session);
    session.close();
    expect(await text).toBe("");
  });

  test("nothing runs in a container that does not", async () => {
    const { taskId } = await create();
    const error = await failureOf(lab().runtime.exec(taskId, options()));
    expect(error.message).toBe("the container does not run, so nothing can be run in it");
  });
}
