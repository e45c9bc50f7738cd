import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ArchiveWriter } from "../../../src/core/archive/archive-writer.ts";
import { joined } from "../../../src/core/archive/bytes.ts";
import { FakeIo, run } from "./fake-io.ts";
import { FakeServer } from "./fake-server.ts";

let dir: string;
let server: FakeServer;
let io: FakeIo;
/** What the server answers to the call for a backup. */
let reply: Uint8Array<ArrayBuffer>;

beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), "orchd-cli-backup-"));
  reply = anArchive();
  server = new FakeServer({ "POST /v1/backup": () => new Response(reply) });
  io = new FakeIo({ cwd: dir });
});
afterEach(async () => {
  await server.stop();
  fs.rmSync(dir, { recursive: true });
});

/** An archive without any member. */
function anArchive(): Uint8Array<ArrayBuffer> {
  const hasher = new Bun.CryptoHasher("sha256");
  const writer = new ArchiveWriter("cluster backup", {
    update: (bytes) => void hasher.update(bytes),
    digest: () => hasher.digest("hex"),
  });
  return new Uint8Array(joined([writer.begin(), writer.end({ changed: 0, skipped: 0 })]));
}

describe("orchd backup", () => {
  test("saves the archive for its owner alone, and says what is in it", async () => {
    const { code, err } = await run(["backup", "c.tar", "--socket", server.socketPath], io);
    expect(code).toBe(0);
    expect(err).toContain("in the clear");
    expect(new Uint8Array(fs.readFileSync(join(dir, "c.tar")))).toEqual(reply);
    expect(fs.statSync(join(dir, "c.tar")).mode & 0o777).toBe(0o600);
  });

  test("leaves an older file in its place when what comes is cut off", async () => {
    fs.writeFileSync(join(dir, "c.tar"), "older");
    reply = anArchive().subarray(0, 2000);
    const { code, err } = await run(["backup", "c.tar", "--socket", server.socketPath], io);
    expect([code, err]).toEqual([1, expect.stringContaining("not the whole archive")]);
    expect(fs.readdirSync(dir)).toEqual(["c.tar"]);
    expect(fs.readFileSync(join(dir, "c.tar"), "utf8")).toBe("older");
  });

  test("takes the passphrase from a file, and says nothing of the clear then", async () => {
    fs.writeFileSync(join(dir, "secret"), "correct horse\nignored\n");
    const words = ["backup", "c.tar", "--passphrase-file", "secret", "--socket", server.socketPath];
    const { code, err } = await run(words, io);
    expect([code, server.requests[0]?.body]).toEqual([0, '{"passphrase":"correct horse"}']);
    expect(err).not.toContain("in the clear");
  });

  test("needs a file", async () => {
    expect((await run(["backup", "--socket", server.socketPath], io)).code).toBe(2);
  });

  test("is put back by orchd restore, beside which no server is asked", async () => {
    const { code, err, restored } = await run(["restore", "c.tar", "--data-dir", "data"], io);
    expect([code, restored]).toEqual([0, [`${join(dir, "c.tar")} ${join(dir, "data")}`]]);
    expect(err).toContain("2 nodes and 1 service");
  });
});

describe("orchd server --backup-dir", () => {
  test("makes backups daily and keeps seven, unless it is told otherwise", async () => {
    const { started } = await run(["server", "--backup-dir", "b"], io);
    expect(started[0]?.backups).toEqual({
      directory: join(dir, "b"),
      everyMs: 86_400_000,
      keep: 7,
    });
    const words = ["server", "--backup-dir", "b", "--backup-every", "1h", "--backup-keep", "2"];
    const [other] = (await run(words, io)).started;
    expect(other?.backups).toMatchObject({ everyMs: 3_600_000, keep: 2 });
    expect((await run(["server"], io)).started[0]?.backups).toBeUndefined();
  });

  test("refuses times and counts that make no sense", async () => {
    for (const words of [
      ["--backup-every", "5s"],
      ["--backup-every", "soon"],
      ["--backup-keep", "0"],
      ["--backup-passphrase-file", "missing"],
    ]) {
      const { code } = await run(["server", "--backup-dir", "b", ...words], io);
      expect(code).toBeGreaterThan(0);
    }
  });
});
