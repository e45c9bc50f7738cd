import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { writeHelloImage } from "../../scripts/image.ts";
import { Host, waitForAnswer } from "../../scripts/lab/host.ts";
import { orchd, root } from "../../scripts/project.ts";
import { COMMANDS } from "../../src/cli/commands.ts";

const README = readFileSync(join(root, "README.md"), "utf8");

describe("the README is true", () => {
  let host: Host;
  let workingDir: string;
  beforeAll(async () => {
    host = await Host.withServer();
    workingDir = join(host.lab.dir, "clone");
    mkdirSync(workingDir);
    symlinkSync(join(root, "compose"), join(workingDir, "compose"));
    writeHelloImage(join(workingDir, "hello.tar"));
  });
  afterAll(async () => host.stop());

  test("every command in its blocks of shell does what it should, in their order", async () => {
    const lines = shellLines(README);
    expect(lines.length).toBeGreaterThan(15);
    for (const line of lines) {
      const command = line.replace(/^curl /, "busybox wget -q -O - ");
      if (command !== line) await waitForAnswer(host, line.split(" ")[1] ?? "");
      if (line.endsWith("down hello --volumes")) await host.must("up", "-f", hello());
      const { code, stderr } = await host.lab.run(
        ["sh", "-c", `orchd() { ${orchd} "$@"; }; ${command}`],
        {
          workingDir,
        },
      );
      expect({ line, code, stderr }).toMatchObject({ line, code: 0 });
    }
  });

  test("its table of commands is that of the executable", () => {
    const table = README.split("\n").filter((line) => line.startsWith("| `orchd"));
    const named = table.flatMap((line) => line.split(" | ")[0]?.match(/orchd [a-z-]+/g) ?? []);
    const commands = COMMANDS.map(({ name }) => `orchd ${name}`);
    expect([...new Set(named)].sort()).toEqual(commands.sort());
  });

  test("its npm scripts are those of package.json", () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    const named = [...README.matchAll(/npm (?:run )?([a-z]+)/g)].map((match) => match[1] ?? "");
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });
});

function hello(): string {
  return join(root, "compose/hello/compose.yaml");
}

/** The lines of the blocks that are marked as shell; blocks without a mark are not run. */
function shellLines(markdown: string): string[] {
  return [...markdown.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap((match) =>
    (match[1] ?? "").trim().split("\n"),
  );
}
