import * as fs from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import type { VolumeMount } from "../../model/container.ts";
import type { NodeId } from "../../model/ids.ts";
import { VOLUME_NAME, type NodeVolume } from "../../model/volume.ts";
import { LABELS } from "../driver.ts";
import type { SnapshotMount } from "./methods.ts";
import { bind, type OciMount } from "./oci-mounts.ts";
import { openBelow, withRootfs } from "./rootfs.ts";

const volumeSchema = z.object({
  driver: z.string(),
  options: z.record(z.string(), z.string()),
  labels: z.record(z.string(), z.string()),
  createdAt: z.number(),
});
type Volume = z.infer<typeof volumeSchema>;

/**
 * Volumes, which containerd does not have: a directory each below the node's data, with what it was
 * made with beside its files. Options mean what they mean to Docker's `local` driver.
 */
export class Volumes {
  readonly #directory: string;
  readonly #nodeId: NodeId;

  constructor(directory: string, nodeId: NodeId) {
    this.#directory = directory;
    this.#nodeId = nodeId;
  }

  /** @throws OrchdError `notFound` for an external one that is not there */
  ensure(mount: VolumeMount, now: number): void {
    if (mount.volume === "" || this.#find(mount.volume) !== undefined) return;
    if (mount.external) {
      throw new OrchdError(
        "notFound",
        `the external volume ${mount.volume} does not exist on the node; ` +
          `make it with: mkdir -p ${this.#filesOf(mount.volume)}`,
      );
    }
    const driver = mount.driver ?? "local";
    if (driver !== "local") {
      throw new OrchdError("invalid", `the containerd driver has no volume driver ${driver}`);
    }
    const volume: Volume = {
      driver,
      options: mount.driverOptions,
      labels: { ...mount.labels, [LABELS.owner]: this.#nodeId },
      createdAt: now,
    };
    fs.mkdirSync(this.#filesOf(mount.volume), { recursive: true, mode: 0o755 });
    fs.writeFileSync(join(this.#pathOf(mount.volume), "volume.json"), JSON.stringify(volume));
  }

  list(): NodeVolume[] {
    if (!fs.existsSync(this.#directory)) return [];
    return fs.readdirSync(this.#directory).flatMap((name) => {
      const found = VOLUME_NAME.test(name) ? this.#find(name) : undefined;
      if (found === undefined) return [];
      const { driver, labels, createdAt } = found;
      return [{ name, driver, labels, createdAt, isOurs: labels[LABELS.owner] === this.#nodeId }];
    });
  }

  /** Where its files are: in its directory, or where its options bind it to. */
  filesOf(name: string): string {
    const found = this.#find(name);
    if (found === undefined) {
      throw new OrchdError("notFound", `the volume ${name} is not on this node`);
    }
    const mount = mountedBy(found);
    if (mount === undefined) return this.#filesOf(name);
    if (isBind(mount)) return mount.source;
    throw new OrchdError(
      "conflict",
      `the files of the volume ${name} are not in a directory of the node but in a file system ` +
        `of type ${mount.type}: use that one's own means`,
    );
  }

  /** What a named volume is to a container. */
  mountOf({ volume, target, readOnly }: VolumeMount): OciMount {
    const found = this.#find(volume);
    const access = readOnly ? "ro" : "rw";
    const mount = found === undefined ? undefined : mountedBy(found);
    if (mount === undefined) return bind(this.#filesOf(volume), target, ["rprivate", access]);
    return { ...mount, destination: target, options: [...mount.options, access] };
  }

  /** Removes one of ours; nothing when it is gone. */
  remove(name: string): void {
    const found = this.#find(name);
    if (found === undefined) return;
    if (found.labels[LABELS.owner] !== this.#nodeId) {
      throw new OrchdError("conflict", `the volume ${name} was not made by orchd, so it is left`);
    }
    fs.rmSync(this.#pathOf(name), { recursive: true, force: true });
  }

  /** One that somebody made as a mere directory counts as well. */
  #find(name: string): Volume | undefined {
    if (!fs.existsSync(this.#filesOf(name))) return undefined;
    try {
      const text = fs.readFileSync(join(this.#pathOf(name), "volume.json"), "utf8");
      return volumeSchema.parse(JSON.parse(text));
    } catch {
      // Made by hand, or its file was lost with the machine's power: it is not ours to remove.
      return { driver: "local", options: {}, labels: {}, createdAt: 0 };
    }
  }

  #filesOf(name: string): string {
    return join(this.#pathOf(name), "_data");
  }

  #pathOf(name: string): string {
    if (!VOLUME_NAME.test(name))
      throw new OrchdError("invalid", `"${name}" can't be a volume's name`);
    return join(this.#directory, name);
  }
}

/** What the options of a volume mount, as with mount(8); undefined for a plain directory. */
function mountedBy({ options }: Volume): Omit<OciMount, "destination"> | undefined {
  const { type = "", device = "", o = "" } = options;
  if (type === "" && device === "" && o === "") return undefined;
  const words = o.split(",").filter((word) => word !== "");
  if (words.some((word) => /^r?bind$/.test(word))) {
    return { type: "bind", source: device, options: words };
  }
  return { type: type || "tmpfs", source: device || type || "tmpfs", options: words };
}

function isBind({ type, source }: Pick<OciMount, "type" | "source">): boolean {
  return type === "bind" && source.startsWith("/");
}

/**
 * Puts into a new volume what the image has where it is mounted, as Docker does; nothing where it
 * has files already, or the image has none there.
 */
export async function fillVolume(
  files: string,
  target: string,
  rootfs: { mounts: readonly SnapshotMount[]; layers: readonly string[]; place: string },
): Promise<void> {
  if (!fs.existsSync(files) || fs.readdirSync(files).length > 0) return;
  const has = rootfs.layers.some((layer) => {
    const found = openBelow(layer, target);
    if (found !== undefined) fs.closeSync(found);
    return found !== undefined;
  });
  if (!has) return;
  await withRootfs(rootfs.mounts, rootfs.place, async (path) => {
    const found = openBelow(path, target);
    if (found === undefined) return;
    try {
      if (!fs.fstatSync(found).isDirectory()) return;
      const from = `/proc/${process.pid}/fd/${found}/.`;
      const child = Bun.spawn(["cp", "-a", "--", from, files], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      const [code, error] = await Promise.all([child.exited, new Response(child.stderr).text()]);
      if (code !== 0) {
        const message = `what the image has at ${target} can't be put into its volume`;
        throw new OrchdError("runtime", message, { cause: new Error(error.trim()) });
      }
    } finally {
      fs.closeSync(found);
    }
  });
}
