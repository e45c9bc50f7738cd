import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findComposeFiles } from "../../../src/cli/compose/find-files.ts";
import {
  FILE_BYTES_MAX,
  readTextFile,
  readTextStream,
} from "../../../src/cli/compose/read-file.ts";

const root = mkdtempSync(join(tmpdir(), "orchd-compose-"));
beforeAll(() => {
  for (const path of ["both/deep/er", "old", "empty"])
    mkdirSync(join(root, path), { recursive: true });
  for (const path of [
    "both/compose.yaml",
    "both/docker-compose.yml",
    "both/compose.override.yaml",
    "old/docker-compose.yaml",
    "old/docker-compose.override.yml",
  ]) {
    writeFileSync(join(root, path), "services: {}\n");
  }
});
afterAll(() => rmSync(root, { recursive: true }));

test("the file with the newest name is used, with its override, and the other is told of", () => {
  expect(findComposeFiles(join(root, "both"))).toEqual({
    paths: ["compose.yaml", "compose.override.yaml"],
    warnings: ["compose.yaml is used; docker-compose.yml beside it is not"],
  });
});

test("the file of the nearest directory above is used", () => {
  expect(findComposeFiles(join(root, "both/deep/er")).paths).toEqual([
    "../../compose.yaml",
    "../../compose.override.yaml",
  ]);
});

test("older names are found too", () => {
  expect(findComposeFiles(join(root, "old")).paths).toEqual([
    "docker-compose.yaml",
    "docker-compose.override.yml",
  ]);
});

test("no file is told with what to do", () => {
  expect(() => findComposeFiles(join(root, "empty"))).toThrow(/there is no Compose file in .*-f$/);
});

test("a file is read as UTF-8", () => {
  writeFileSync(join(root, "text"), "a: ü\n");
  expect(readTextFile(join(root, "text"))).toEqual({ ok: true, text: "a: ü\n" });
  writeFileSync(join(root, "binary"), new Uint8Array([0xff, 0xfe, 0x00]));
  expect(readTextFile(join(root, "binary"))).toMatchObject({ ok: false, reason: "unreadable" });
});

test("directories, pipes and devices are refused without waiting for them", () => {
  expect(Bun.spawnSync(["mkfifo", join(root, "pipe")]).exitCode).toBe(0);
  for (const path of [root, join(root, "pipe"), "/dev/zero", "/dev/tty", "/dev/stdin"]) {
    expect(readTextFile(path)).toMatchObject({ ok: false });
  }
  expect(readTextFile(join(root, "pipe"))).toMatchObject({ reason: "not-a-file" });
  expect(readTextFile("/dev/zero")).toMatchObject({ reason: "not-a-file" });
});

test("a missing file is missing, also below something that is no directory", () => {
  expect(readTextFile(join(root, "none"))).toMatchObject({ reason: "missing" });
  expect(readTextFile(join(root, "text/none"))).toMatchObject({ reason: "missing" });
});

test("what is too large is refused, also when its size is not known before", async () => {
  writeFileSync(join(root, "large"), "x".repeat(FILE_BYTES_MAX + 1));
  expect(readTextFile(join(root, "large"))).toMatchObject({ reason: "too-large" });
  writeFileSync(join(root, "fits"), "x".repeat(FILE_BYTES_MAX));
  expect(readTextFile(join(root, "fits"))).toMatchObject({ ok: true });
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
  });
  expect(await readTextStream(endless)).toMatchObject({ reason: "too-large" });
});
