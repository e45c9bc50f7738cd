import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { busyboxFiles, file, folder, writeImage } from "./image.ts";
import { postgresFolder } from "./machine.ts";
import type { TarEntry } from "./tar.ts";

export const POSTGRES_IMAGE = "localhost/orchd-postgres:1";

const PROGRAMS = ["postgres", "initdb", "psql", "pg_isready"];
/** What `initdb` itself loads, of all that PostgreSQL can. */
const MODULES = ["dict_snowball.so", "plpgsql.so"];
const EXTENSIONS = ["plpgsql.control", "plpgsql--1.0.sql"];
const SHARED = ["timezonesets", "tsearch_data"];
const USER = 70;

/**
 * What the image runs, as root until the files have their owner: makes the cluster of databases in
 * the volume if there is none, with the password of the secret, then is PostgreSQL.
 */
const SERVE = `#!/bin/sh
set -eu
data=/var/lib/postgresql/data
chown postgres $data && chmod 700 $data
if [ ! -s $data/PG_VERSION ]; then
  (umask 077 && cat /run/secrets/password > /tmp/password && chown postgres /tmp/password)
  su postgres -c "initdb -D $data --no-locale -E UTF8 -k -A scram-sha-256 --pwfile=/tmp/password"
  rm /tmp/password
fi
exec su postgres -c "exec postgres -D $data -c config_file=/etc/postgresql.conf"
`;

/** Writes a docker-archive of Debian's PostgreSQL, made from this machine's files alone. */
export function writePostgresImage(path: string): void {
  const programs = postgresFolder();
  const modules = join(dirname(programs), "lib");
  const version = basename(dirname(programs));
  const shared = join("/usr/share/postgresql", version);
  const binaries = [
    ...PROGRAMS.map((name) => join(programs, name)),
    ...MODULES.map((name) => join(modules, name)),
  ];
  const texts = [
    ...filesOf(shared),
    ...SHARED.flatMap((name) => filesOf(join(shared, name))),
    ...EXTENSIONS.map((name) => join(shared, "extension", name)),
  ];
  const files = [...texts, ...binaries, ...librariesOf(binaries)];
  writeImage(
    path,
    POSTGRES_IMAGE,
    [
      ...busyboxFiles().filter(({ name }) => name !== "etc/passwd"),
      ...foldersOf([...files, "/var/lib/postgresql/data/"]),
      ...files.map((from) => file(from.slice(1), readFileSync(from), modeOf(from))),
      file("bin/serve", Buffer.from(SERVE), 0o755),
      file(
        "etc/passwd",
        Buffer.from(`root:x:0:0::/:/bin/sh\npostgres:x:${USER}:${USER}::/:/bin/sh\n`),
      ),
    ],
    { Cmd: ["/bin/serve"], Env: [`PATH=/bin:/sbin:/usr/bin:/usr/sbin:${programs}`, "TZ=UTC"] },
  );
}

/** Those that the dynamic linker would load, itself included. */
function librariesOf(binaries: readonly string[]): string[] {
  const printed = execFileSync("ldd", binaries, { encoding: "utf8" });
  const paths = [...printed.matchAll(/^\t(?:\S+ => )?(\/\S+) \(/gm)].map((match) => match[1] ?? "");
  return [...new Set(paths)].sort();
}

function filesOf(path: string): string[] {
  const entries = readdirSync(path, { withFileTypes: true });
  const files = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => join(path, name));
  // Debian has links there to dictionaries that need not be installed.
  return files.filter((name) => existsSync(name)).sort();
}

/** Every folder above the files, the upper ones first; BusyBox has made some. */
function foldersOf(files: readonly string[]): TarEntry[] {
  const made = new Set(busyboxFiles().map(({ name }) => name));
  const names = files.flatMap((path) => {
    const parts = path.slice(1).split("/").slice(0, -1);
    return parts.map((_, i) => `${parts.slice(0, i + 1).join("/")}/`);
  });
  return [...new Set(names)]
    .filter((name) => !made.has(name))
    .sort()
    .map((name) => folder(name));
}

function modeOf(path: string): number {
  return path.startsWith("/usr/share/") ? 0o644 : 0o755;
}
