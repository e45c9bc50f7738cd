import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { ArchiveWriter } from "../../src/core/archive/archive-writer.ts";
import type { ArchiveEntry } from "../../src/core/archive/entry.ts";
import { newSha256 } from "../../src/tree/sha256.ts";
import { aStack, Host } from "../../scripts/lab/host.ts";
import { expectRefusal } from "./refusal.ts";

const VOLUME = "shop_data";
const PASSPHRASE = { env: { ORCHD_BACKUP_PASSPHRASE: "correct horse battery" } };
const TEBIBYTE = 1024 ** 4;

type Member = Partial<ArchiveEntry> & { content?: string };

/** A volume archive, as orchd makes them, of whatever members these are. */
function anArchive(...members: Member[]): Buffer {
  const writer = new ArchiveWriter("volume archive", newSha256());
  const parts = [writer.begin()];
  for (const { content = "", ...over } of members) {
    const bytes = Buffer.from(content);
    const entry = { kind: "file", path: "x", mode: 0o644, uid: 0, gid: 0, mtimeUs: 0 } as const;
    const rest = { size: bytes.length, target: "", isSparse: false, attributes: [] };
    parts.push(writer.entry({ ...entry, ...rest, ...over }));
    parts.push(writer.data(bytes), writer.padding(bytes.length));
  }
  return Buffer.concat([...parts, writer.end({ changed: 0, skipped: 0 })]);
}

describe("bad data is refused before anything changes", () => {
  let host: Host;
  const path = (name: string) => join(host.lab.dir, name);
  beforeAll(async () => {
    host = await Host.bare();
    for (const name of ["given", "other"]) mkdirSync(path(name));
    await host.startServer(["--allow-bind", path("given")]);
    await host.loadImage();
    const service = 'command: ["sleep", "1000000"]\nstop_grace_period: 0s\nvolumes: ["data:/data"]';
    await host.mustUp(`${aStack("shop", service)}volumes: { data: {} }\n`);
    await inTask("echo kept > /data/file");
    writeFileSync(path("other/secret"), "secret");
  });
  afterAll(async () => host.stop());

  const inTask = (command: string) => host.must("exec", "shop/app.1", "--", "sh", "-c", command);

  describe("an archive of a volume", () => {
    const link = { kind: "symlink", path: "d" } as const;
    const cases: [what: string, told: RegExp, members: () => Member[]][] = [
      ["with a path that climbs out", /out of the volume|is refused/, () => [{ path: "../../x" }]],
      ["with an absolute path", /is refused/, () => [{ path: "/etc/x" }]],
      [
        "with a hard link out of the tree",
        /links to somewhere else/,
        () => [{ kind: "hardlink", path: "h", target: path("other/secret") }],
      ],
      [
        "with a hard link out of it by a link",
        /no directory/,
        () => [
          { ...link, target: path("other") },
          { kind: "hardlink", path: "h", target: "d/secret" },
        ],
      ],
      [
        "that writes through a link",
        /no directory/,
        () => [
          { ...link, target: path("other") },
          { path: "d/secret", content: "evil" },
        ],
      ],
      ["that is a bomb", /more than there is room for/, () => [{ size: TEBIBYTE }]],
    ];
    for (const [what, told, members] of cases) {
      test(what, async () => {
        const file = host.write("bad.tar", anArchive(...members()));
        expectRefusal(await host.orchd("volume", "restore", VOLUME, file, "--stop"), told);
        expect(readFileSync(path("other/secret"), "utf8")).toBe("secret");
        await host.waitFor("the task goes on", async () => {
          return (await host.running("shop")).every(({ ready }) => ready);
        });
        expect(await inTask("ls -A /data; cat /data/file")).toBe("file\nkept\n");
      });
    }
  });

  for (const name of ["../../etc", "a/b", "..", ".", ".hidden", "-rf", "a%2fb", "x".repeat(256)]) {
    test(`a volume named ${JSON.stringify(name).slice(0, 20)}`, async () => {
      const saved = path("named.tar");
      for (const words of [
        ["backup", "--", name, saved],
        ["restore", "--node", "none", "--", name, host.write("empty.tar", anArchive())],
        ["inspect", "--", name],
        ["rm", "--", name],
        ["move", "--", name, "none"],
      ]) {
        const { code, stderr } = await host.orchd("volume", ...words);
        expect({ words, isRefused: code === 1 || code === 2, stderr }).toEqual({
          words,
          isRefused: true,
          stderr: expect.stringMatching(/is not a name|no volume|no node|not there/),
        });
      }
      expect(existsSync(saved)).toBeFalse();
    });
  }

  test("a mount that a link leads out of what the machine gives", async () => {
    symlinkSync(path("other"), path("given/link"));
    const bind = (source: string) => {
      const service = `command: ["sleep", "1000000"]\nrestart: "no"\nvolumes: ["${source}:/x"]`;
      return aStack("bind", service);
    };
    for (const source of ["given/link", "given/link/deeper", "given/../other"]) {
      const told = /may not be mounted on this node: its --allow-bind names/;
      expectRefusal(await host.up(bind(path(source))), told);
      await host.must("down", "bind");
    }
    expect(readdirSync(path("other"))).toEqual(["secret"]);
  });

  describe("a backup of the cluster", () => {
    let whole: Buffer;
    beforeEach(async () => {
      await host.must("backup", path("cluster.tar"));
      whole = readFileSync(path("cluster.tar"));
    });

    async function restored(bytes: Buffer, told: RegExp, options = {}): Promise<void> {
      const file = host.write("bad-cluster.tar", bytes);
      const words = ["restore", file, "--data-dir", path("fresh")];
      expectRefusal(await host.orchdWith(options, ...words), told);
      expect(existsSync(path("fresh")) ? readdirSync(path("fresh")) : []).toEqual([]);
    }

    test("that is cut off", async () => {
      await restored(whole.subarray(0, whole.length - 5000), /cut off/);
      await restored(whole.subarray(0, 0), /is empty/);
    });

    test("that was altered", async () => {
      const altered = Buffer.from(whole);
      altered.writeUInt8(altered.readUInt8(20_000) ^ 1, 20_000);
      await restored(altered, /altered|damaged/);
    });

    test("that a newer orchd made", async () => {
      const newer = Buffer.from(whole);
      const version = newer.indexOf("orchd cluster backup 2") + "orchd cluster backup ".length;
      newer.write("9", version);
      await restored(newer, /made by a newer orchd: use that version/);
    });

    test("that is none", async () => {
      await restored(anArchive({ path: "x" }), /volume archive/);
      await restored(Buffer.from("hello"), /cut off|no cluster backup/);
    });

    test("that another passphrase sealed", async () => {
      await host.orchdWith(PASSPHRASE, "backup", path("sealed.tar"));
      const sealed = readFileSync(path("sealed.tar"));
      const other = { env: { ORCHD_BACKUP_PASSPHRASE: "incorrect horse battery" } };
      await restored(sealed, /the passphrase/, other);
      await restored(sealed, /is sealed/);
      await restored(sealed.subarray(0, sealed.length / 2), /cut off/, PASSPHRASE);
    });
  });
});
