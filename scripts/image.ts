import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { arch } from "node:process";
import { BUSYBOX } from "./machine.ts";
import { writeTar, type TarEntry } from "./tar.ts";

/** The image of the `hello` example. */
export const HELLO_IMAGE = "localhost/orchd-hello:1";

/**
 * What the image runs: a page that tells whose it is. The shell answers the stop signal, which the
 * kernel would withhold from a first process that has no handler for it; requests end before.
 */
const SERVE = `#!/bin/sh
read -r host < /etc/hostname
echo "\${GREETING:-Hello} from $host" > /www/index.html
trap 'sleep 0.2; exit 0' TERM INT
httpd -f -p "\${PORT:-8080}" -h /www &
wait $!
`;

/**
 * Writes a docker-archive of a small web image, made from this machine's BusyBox alone.
 * @param settings what its configuration says besides, as Docker stores it
 */
export function writeHelloImage(
  path: string,
  reference: string = HELLO_IMAGE,
  settings: Readonly<Record<string, unknown>> = {},
): void {
  const serve = file("bin/serve", Buffer.from(SERVE), 0o755);
  writeImage(path, reference, [...busyboxFiles(), folder("www/"), serve], {
    Cmd: ["/bin/serve"],
    ExposedPorts: { "8080/tcp": {} },
    Labels: { "org.opencontainers.image.title": "orchd hello" },
    ...settings,
  });
}

/**
 * Writes a docker-archive of an image of one layer.
 * @param settings what its configuration says, as Docker stores it
 */
export function writeImage(
  path: string,
  reference: string,
  files: readonly TarEntry[],
  settings: Readonly<Record<string, unknown>>,
): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, makeImage(reference, files, settings));
}

function makeImage(
  reference: string,
  files: readonly TarEntry[],
  settings: Readonly<Record<string, unknown>>,
): Uint8Array {
  const layer = writeTar(files);
  const config = Buffer.from(
    JSON.stringify({
      architecture: arch === "arm64" ? "arm64" : "amd64",
      os: "linux",
      config: {
        Env: ["PATH=/bin:/sbin:/usr/bin:/usr/sbin"],
        ...settings,
      },
      rootfs: { type: "layers", diff_ids: [`sha256:${sha256(layer)}`] },
      history: [{ created_by: "orchd: files of this machine" }],
    }),
  );
  const configName = `${sha256(config)}.json`;
  const layerName = `${sha256(layer)}/layer.tar`;
  const manifest = [{ Config: configName, RepoTags: [reference], Layers: [layerName] }];
  return writeTar([
    file("manifest.json", Buffer.from(JSON.stringify(manifest))),
    file(configName, config),
    file(layerName, layer),
  ]);
}

/** BusyBox with all that it can be called by, in the folders of a small system. */
export function busyboxFiles(): TarEntry[] {
  const folders = ["bin/", "sbin/", "usr/", "usr/bin/", "usr/sbin/", "etc/", "tmp/", "root/"];
  const applets = execFileSync(BUSYBOX, ["--list-full"], { encoding: "utf8" }).trim().split("\n");
  const links = applets
    .filter((name) => name !== "bin/busybox" && /^(usr\/)?s?bin\//.test(name))
    .map((name): TarEntry => ({ name, type: "link", target: "/bin/busybox" }));
  return [
    ...folders.map((name) => folder(name, name === "tmp/" ? 0o1777 : 0o755)),
    file("bin/busybox", readFileSync(BUSYBOX), 0o755),
    file("etc/passwd", Buffer.from("root:x:0:0:root:/root:/bin/sh\n")),
    file("etc/group", Buffer.from("root:x:0:\n")),
    ...links,
  ];
}

export function folder(name: string, mode = 0o755): TarEntry {
  return { name, type: "folder", mode };
}

export function file(name: string, content: Uint8Array, mode = 0o644): TarEntry {
  return { name, type: "file", mode, content };
}

function sha256(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}
