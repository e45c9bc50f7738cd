import { describe, expect, test } from "bun:test";
import { LINE_BYTES_MAX, LogAssembler } from "../../../src/runtime/podman/k8s-log.ts";

const TIME = "2026-01-31T12:00:00.123456789+00:00";
const AT = Date.parse("2026-01-31T12:00:00.123Z");

const texts = (assembler: LogAssembler, ...chunks: string[]): string[] =>
  chunks.flatMap((chunk) => assembler.push(Buffer.from(chunk)).map((line) => line.text));

describe("a log in the k8s-file format", () => {
  test("a record is a line with its time and its stream", () => {
    const lines = new LogAssembler().push(
      Buffer.from(`${TIME} stdout F hello there\n${TIME} stderr F \n`),
    );
    expect(lines).toEqual([
      { at: AT, stream: "stdout", text: "hello there" },
      { at: AT, stream: "stderr", text: "" },
    ]);
  });

  test("records may be cut anywhere, also within a letter", () => {
    const whole = Buffer.from(`${TIME} stdout F grün\n${TIME} stdout F zwei\n`);
    for (let cut = 0; cut <= whole.length; cut++) {
      const assembler = new LogAssembler();
      const lines = [
        ...assembler.push(whole.subarray(0, cut)),
        ...assembler.push(whole.subarray(cut)),
      ];
      expect(lines.map((line) => line.text)).toEqual(["grün", "zwei"]);
    }
  });

  test("parts of a line are put together, each stream by itself", () => {
    const log = `${TIME} stdout P one \n${TIME} stderr F other\n${TIME} stdout F line\n`;
    expect(texts(new LogAssembler(), log)).toEqual(["other", "one line"]);
  });

  test("a letter that two parts share is whole again", () => {
    const [first, second] = [Buffer.from("ü").subarray(0, 1), Buffer.from("ü").subarray(1)];
    const lines = new LogAssembler().push(
      Buffer.concat([
        Buffer.from(`${TIME} stdout P `),
        first,
        Buffer.from(`\n${TIME} stdout F `),
        second,
        Buffer.from("\n"),
      ]),
    );
    expect(lines.map((line) => line.text)).toEqual(["ü"]);
  });

  test("a line without an end comes out when it is given up on", () => {
    const assembler = new LogAssembler();
    expect(texts(assembler, `${TIME} stdout P prompt> \n`)).toEqual([]);
    expect(assembler.flush()).toEqual([{ at: AT, stream: "stdout", text: "prompt> " }]);
    expect(assembler.flush()).toEqual([]);
  });

  test("an endless line comes in parts", () => {
    const part = "x".repeat(LINE_BYTES_MAX / 2);
    const log = `${TIME} stdout P ${part}\n`.repeat(5);
    expect(texts(new LogAssembler(), log).map((text) => text.length)).toEqual([
      LINE_BYTES_MAX,
      LINE_BYTES_MAX,
    ]);
  });

  test("lines from before `since` are left out", () => {
    expect(texts(new LogAssembler(AT + 1), `${TIME} stdout F old\n`)).toEqual([]);
    expect(texts(new LogAssembler(AT), `${TIME} stdout F now\n`)).toEqual(["now"]);
  });

  test("a terminal's carriage return is not part of the line", () => {
    expect(texts(new LogAssembler(), `${TIME} stdout F hello\r\n`)).toEqual(["hello"]);
  });

  test("what is no record is skipped, and does not grow", () => {
    const assembler = new LogAssembler();
    expect(texts(assembler, "nonsense\n", "z".repeat(1_000_000))).toEqual([]);
    expect(texts(assembler, "\n", `${TIME} stdout F good\n`)).toEqual(["good"]);
  });
});

describe("a log in Docker's json-file format", () => {
  const record = (log: string, stream = "stdout") =>
    `${JSON.stringify({ log, stream, time: "2026-01-31T12:00:00.123456789Z" })}\n`;

  test("a record is a line with its time and its stream, cut anywhere", () => {
    const whole = Buffer.from(record("grün\n") + record("\n", "stderr"));
    for (let cut = 0; cut <= whole.length; cut++) {
      const assembler = new LogAssembler();
      const lines = [
        ...assembler.push(whole.subarray(0, cut)),
        ...assembler.push(whole.subarray(cut)),
      ];
      expect(lines).toEqual([
        { at: AT, stream: "stdout", text: "grün" },
        { at: AT, stream: "stderr", text: "" },
      ]);
    }
  });

  test("a part without a line break goes on in the stream's next record", () => {
    const log = record("one ") + record("other\n", "stderr") + record("line\n");
    expect(texts(new LogAssembler(), log)).toEqual(["other", "one line"]);
  });

  test("a part of bytes that JSON has to escape is as long as it may be", () => {
    const part = "\u0001".repeat(LINE_BYTES_MAX);
    expect(texts(new LogAssembler(), record(`${part}\n`))).toEqual([part]);
  });

  test("what is cut off or of another shape is left out", () => {
    const log = `{"log":"half\n{"log":1,"stream":"stdout","time":"x"}\n${record("whole\n")}`;
    expect(texts(new LogAssembler(), log)).toEqual(["whole"]);
  });
});
