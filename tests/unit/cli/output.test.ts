import { describe, expect, test } from "bun:test";
import { cleanText } from "../../../src/cli/output/clean.ts";
import { paintFor } from "../../../src/cli/output/color.ts";
import { clipLine, LiveLines } from "../../../src/cli/output/live.ts";
import { formatAddress, formatPorts } from "../../../src/cli/output/ports.ts";
import { formatTable } from "../../../src/cli/output/table.ts";
import { FakeIo } from "./fake-io.ts";

const red = (_: string, text: string) => `\u001b[31m${text}\u001b[0m`;
const pairs = [
  { title: "A", cell: (row: string[]) => row[0] ?? "" },
  { title: "B", cell: (row: string[]) => row[1] ?? "" },
];

describe("tables", () => {
  test("columns are as wide as their widest cell", () => {
    const table = formatTable(pairs, [
      ["x", "1"],
      ["long", "2"],
    ]);
    expect(table).toEqual(["A     B", "x     1", "long  2"]);
  });

  test("wide characters count for two columns", () => {
    expect(
      formatTable(pairs, [
        ["世界", "1"],
        ["abcd", "2"],
      ])[1],
    ).toBe("世界  1");
  });

  test("an empty last cell leaves no blanks behind", () => {
    expect(formatTable(pairs, [["x", ""]])[1]).toBe("x");
  });

  test("colours change no widths", () => {
    const columns = [{ title: "A", cell: () => "x", color: () => "red" as const }, ...pairs];
    const rows = [["y", "z"]];
    const painted = formatTable(columns, rows, red).map((line) => Bun.stripANSI(line));
    expect(painted).toEqual(formatTable(columns, rows));
  });

  test("a cell can't forge a line or move the cursor", () => {
    const [, line] = formatTable(pairs, [["a\nb\u001b[2J", "\u202eevil"]]);
    expect(line).toBe("a\\x0ab\\x1b[2J  \\u202eevil");
  });
});

test("colours are for terminals whose owner wants them", () => {
  expect(paintFor(new FakeIo())("red", "x")).toBe("x");
  expect(paintFor(new FakeIo({ isTerminal: true }))("red", "x")).toBe("\u001b[31mx\u001b[0m");
  const noColor = new FakeIo({ isTerminal: true, env: { NO_COLOR: "1" } });
  expect(paintFor(noColor)("red", "x")).toBe("x");
});

test("plain text stays as it is when it is cleaned", () => {
  expect(cleanText("ünï-世界 → 1")).toBe("ünï-世界 → 1");
});

describe("lines that are drawn in place", () => {
  test("a line is cut to the width of the terminal, with its colour closed", () => {
    expect(clipLine("abcdef", 6)).toBe("abcdef");
    expect(clipLine("abcdef", 4)).toBe("abc…");
    expect(clipLine("\u001b[31mabcdef\u001b[0m", 4)).toBe("\u001b[31mabc…\u001b[0m");
    expect(Bun.stringWidth(clipLine("世界世界", 4))).toBeLessThanOrEqual(4);
  });

  test("the second drawing begins where the first one did", async () => {
    const io = new FakeIo({ isTerminal: true });
    const live = new LiveLines(io.stdout);
    await live.draw(["one", "two"]);
    await live.draw(["three"]);
    expect(io.out[1]).toContain("\u001b[2A");
    expect(io.out[1]).toContain("three");
  });

  test("what does not fit is counted", async () => {
    const io = new FakeIo({ isTerminal: true });
    await new LiveLines(io.stdout).draw(Array.from({ length: 100 }, (_, i) => `line ${i}`));
    expect(io.out.join("").split("\n").length).toBeLessThanOrEqual(24);
    expect(io.out.join("")).toContain("… and 78 more");
  });
});

describe("ports", () => {
  const port = { target: 80, published: 8080, protocol: "tcp", mode: "ingress" } as const;

  test("published ones are shown with where they lead", () => {
    const local = { ...port, hostIp: "::1", protocol: "udp" as const };
    expect(formatPorts([port, local, { ...port, published: 0 }])).toBe(
      "8080->80/tcp, [::1]:8080->80/udp",
    );
  });

  test("a port answers on this machine unless it is bound elsewhere", () => {
    expect(formatAddress(port)).toBe("127.0.0.1:8080");
    expect(formatAddress({ ...port, hostIp: "0.0.0.0" })).toBe("127.0.0.1:8080");
    expect(formatAddress({ ...port, hostIp: "10.0.0.5" })).toBe("10.0.0.5:8080");
  });
});
