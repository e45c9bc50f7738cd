import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { waitUntil } from "../../scripts/lab/lab.ts";
import { aStack, HELLO, Host } from "../../scripts/lab/host.ts";
import { orchd as executable, root } from "../../scripts/project.ts";
import { expectRefusal } from "./refusal.ts";

const SECRET = "correct-horse-battery-staple";

describe("a machine that is not as it should be", () => {
  let host: Host;
  beforeEach(async () => {
    host = await Host.bare();
  });
  afterEach(async () => host.stop());

  /** Starts a server that must refuse; answers what it printed. */
  async function refusedServer(words: string[] = []) {
    return host.orchdWith({ timeoutMs: 20_000 }, "server", ...words);
  }

  test("no server: every command says so with exit code 3", async () => {
    for (const words of [["ps"], ["ls"], ["nodes"], ["events"], ["scale", "a=1"]]) {
      expectRefusal(await host.orchd(...words), /orchd server/, 3);
    }
  });

  test("a second server on the same data directory", async () => {
    await host.startServer();
    expectRefusal(await refusedServer(["--run-dir", "/run/other"]), /already|another|in use/i);
    await host.must("ps");
  });

  test("a second server with a data directory of its own", async () => {
    await host.startServer();
    const rules = await host.lab.run(["nft", "list", "ruleset"]);
    const apart = ["--data-dir", "/var/lib/second", "--run-dir", "/run/second"];
    const listen = ["--listen", "127.0.0.1:7000"];
    expectRefusal(await refusedServer([...apart, ...listen]), /another orchd .* orchd0: stop it/);
    expect(await host.lab.run(["nft", "list", "ruleset"])).toEqual(rules);
    await host.must("ps");
  });

  test("a data directory that can't be written", async () => {
    await host.lab.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", "/mnt"]);
    expectRefusal(await refusedServer(["--data-dir", "/mnt/orchd"]), /\/mnt\/orchd/);
  });

  test("a data directory that is a file", async () => {
    const path = host.write("file", "x");
    expectRefusal(await refusedServer(["--data-dir", path]), /files\/file/);
  });

  test("a full disk: the change is refused, what runs goes on, and room heals it", async () => {
    await host.lab.run(["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", "/var/lib/orchd"]);
    await host.startServer();
    await host.loadImage();
    await host.mustUp(HELLO);
    const before = await host.containers("hello");
    await host.lab.run(["sh", "-c", "cat /dev/zero > /var/lib/orchd/filler"]);
    const text = "x".repeat(30_000);
    const many = Array.from({ length: 20 }, (_, i) => `V${i}: ${text}`).join(", ");
    expectRefusal(await host.up(aStack("big", `environment: {${many}}`)), /disk|space|room/i);
    expect(await host.containers("hello")).toEqual(before);
    await host.lab.run(["rm", "/var/lib/orchd/filler"]);
    await host.must("scale", "web-app=4");
    await host.waitFor("four run", async () => (await host.running("hello")).length === 4);
  });

  for (const damage of ["cut short", "overwritten", "emptied"] as const) {
    test(`a database that was ${damage} is refused and left as it is`, async () => {
      await host.startServer();
      await host.loadImage();
      await host.mustUp(HELLO);
      const containers = await host.containers("hello");
      await host.endServer("SIGTERM");
      const path = findDatabase(host);
      damageFile(path, damage);
      const left = readFileSync(path);
      expectRefusal(await refusedServer(), /restore|backup/i);
      expect(readFileSync(path).equals(left)).toBe(true);
      expect(await host.containers("hello")).toEqual(containers);
    });
  }

  test("a working directory full of traps is not read", async () => {
    const marker = join(host.lab.dir, "executed");
    const trap = `require("node:fs").writeFileSync(${JSON.stringify(marker)}, "x");\n`;
    host.write("trap/preload.ts", trap);
    host.write(
      "trap/bunfig.toml",
      'preload = ["./preload.ts"]\n[test]\npreload = ["./preload.ts"]\n',
    );
    host.write("trap/.env", "ORCHD_DATA_DIR=/mnt/elsewhere\nORCHD_SOCKET=/mnt/none.sock\n");
    host.write("trap/tsconfig.json", '{"compilerOptions": {"baseUrl": "."}}');
    host.write("trap/package.json", '{"name": "trap", "type": "commonjs"}');
    const workingDir = join(host.lab.dir, "files", "trap");
    await host.startServer([], { workingDir });
    const { code } = await host.orchdWith({ workingDir }, "ps");
    expect(code).toBe(0);
    expect(existsSync(marker)).toBe(false);
    expect(existsSync("/mnt/elsewhere")).toBe(false);
  });

  test("a secret in an environment stands in no log and no listing", async () => {
    await host.startServer();
    await host.loadImage();
    await host.mustUp(aStack("quiet", `environment: {PASSWORD: ${SECRET}}`));
    const bad = aStack("quiet", `environment: {PASSWORD: ${SECRET}}\nnonsense: {x: ${SECRET}}`);
    const refused = await host.up(bad);
    expect(refused.code).toBe(1);
    const shown = await Promise.all(
      [["ps"], ["services"], ["ls"], ["events"], ["explain", "app"]].map(async (words) =>
        host.must(...words, "--json"),
      ),
    );
    expect(shown.join("")).not.toContain(SECRET);
    expect(host.log).not.toContain(SECRET);
  });

  test("the socket and the data belong to root alone", async () => {
    await host.startServer();
    const { stdout } = await host.lab.run(["stat", "-c", "%a", "/run/orchd/orchd.sock"]);
    expect(stdout.trim()).toMatch(/^.00$/);
    expect(statSync(findDatabase(host)).mode & 0o077).toBe(0);
  });

  test("a machine without Podman says what to install", async () => {
    const command = ["env", "PATH=/nonexistent", executable, "server"];
    const output = await host.lab.run(command, { timeoutMs: 20_000 });
    expectRefusal(output, /podman/i);
  });

  test("listings that a reader leaves early end quietly", async () => {
    await host.startServer();
    const command = "dist/orchd events --follow | head -n 1";
    const follower = host.lab.spawn(["sh", "-c", command], { workingDir: root });
    let printed = "";
    follower.stdout?.setEncoding("utf8").on("data", (text: string) => (printed += text));
    await host.loadImage();
    await host.mustUp(HELLO);
    await waitUntil("the reader has its line", 10_000, () => printed.includes("\n"));
    await host.must("scale", "web-app=1");
    await waitUntil("the follower has ended", 10_000, () => follower.exitCode !== null);
  });
});

function findDatabase(host: Host): string {
  const name = host
    .dataFiles()
    .map((line) => line.split(" ", 1)[0] ?? "")
    .find((file) => file.includes("server") && /\.(db|sqlite)$/.test(file));
  if (name === undefined) throw new Error(`no database in ${host.dataFiles().join(", ")}`);
  return join(host.dataDir, name);
}

function damageFile(path: string, damage: "cut short" | "overwritten" | "emptied"): void {
  const { size } = statSync(path);
  if (damage === "emptied") truncateSync(path, 0);
  else if (damage === "cut short") truncateSync(path, Math.floor(size / 2 / 512) * 512 - 100);
  else {
    const content = readFileSync(path);
    content.fill(0x5a, 4096, Math.min(size, 3 * 4096));
    writeFileSync(path, content);
  }
}
