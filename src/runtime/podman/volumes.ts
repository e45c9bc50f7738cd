import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import type { Mount } from "../../model/container.ts";
import type { NodeId } from "../../model/ids.ts";
import type { NodeVolume } from "../../model/volume.ts";
import { LABELS } from "../driver.ts";
import type { PodmanHttp } from "./http.ts";

/** As Podman and Docker have one. */
export const volumeSchema = z.object({
  Name: z.string(),
  Driver: z.string().default("local"),
  Mountpoint: z.string().default(""),
  CreatedAt: z.string().default(""),
  Labels: z.record(z.string(), z.string()).nullish(),
  Options: z.record(z.string(), z.string()).nullish(),
});
export type Volume = z.infer<typeof volumeSchema>;

/**
 * Makes a named volume that is missing, labelled as ours. One that is there is used as it is,
 * whoever made it. An external one that is missing is an error: its owner has to make it.
 */
export async function ensureVolume(
  http: PodmanHttp,
  mount: Extract<Mount, { type: "volume" }>,
  nodeId: NodeId,
): Promise<void> {
  if (mount.volume === "" || (await findVolume(http, mount.volume)) !== undefined) return;
  if (mount.external) {
    throw new OrchdError(
      "notFound",
      `the external volume ${mount.volume} does not exist on the node; ` +
        `make it with: podman volume create ${mount.volume}`,
    );
  }
  try {
    await http.send("POST", "/volumes/create", {
      json: {
        Name: mount.volume,
        Driver: mount.driver ?? "local",
        Options: mount.driverOptions,
        Label: { ...mount.labels, [LABELS.owner]: nodeId },
        Labels: { ...mount.labels, [LABELS.owner]: nodeId },
      },
    });
  } catch (error) {
    // Two tasks that share the volume came at the same time: it is there, which is all that counts.
    if (error instanceof OrchdError && error.code === "conflict") return;
    throw error;
  }
}

/** Removes a volume of ours; nothing when it is gone. */
export async function removeVolume(http: PodmanHttp, name: string, nodeId: NodeId): Promise<void> {
  const found = await findVolume(http, name);
  if (found === undefined) return;
  if (found.Labels?.[LABELS.owner] !== nodeId) {
    throw new OrchdError("conflict", `the volume ${name} was not made by orchd, so it is left`);
  }
  try {
    await http.send("DELETE", `/volumes/${encodeURIComponent(name)}`);
  } catch (error) {
    // Somebody else removed it meanwhile.
    if (!(error instanceof OrchdError) || error.code !== "notFound") throw error;
  }
}

/** Every volume, whoever made it. */
export async function listVolumes(http: PodmanHttp, nodeId: NodeId): Promise<NodeVolume[]> {
  const listed = await http.json(z.array(volumeSchema), "GET", "/volumes/json");
  return listed.map((volume) => nodeVolumeOf(volume, nodeId));
}

export function nodeVolumeOf(volume: Volume, nodeId: NodeId): NodeVolume {
  const { Name, Driver, CreatedAt, Labels } = volume;
  return {
    name: Name,
    driver: Driver,
    labels: Labels ?? {},
    createdAt: Math.max(0, Date.parse(CreatedAt) || 0),
    isOurs: Labels?.[LABELS.owner] === nodeId,
  };
}

/** Where a volume's files are: in its directory, or where its options bind it to. */
export async function volumePath(http: PodmanHttp, name: string): Promise<string> {
  return pathOfVolume(name, await findVolume(http, name));
}

/** @throws OrchdError `notFound` for none, `conflict` for one whose files are elsewhere */
export function pathOfVolume(name: string, found: Volume | undefined): string {
  if (found === undefined) {
    throw new OrchdError("notFound", `the volume ${name} is not on this node`);
  }
  const { type = "", device = "", o = "" } = found.Options ?? {};
  const isBound = o.split(",").some((option) => /^r?bind$/.test(option));
  if (isBound && device.startsWith("/")) return device;
  if (found.Driver === "local" && type === "" && device === "" && found.Mountpoint !== "") {
    return found.Mountpoint;
  }
  const what = found.Driver === "local" ? `a file system of type ${type}` : found.Driver;
  throw new OrchdError(
    "conflict",
    `the files of the volume ${name} are not in a directory of the node but in ${what}: ` +
      "use that one's own means",
  );
}

async function findVolume(http: PodmanHttp, name: string): Promise<Volume | undefined> {
  try {
    const found = await http.json(volumeSchema, "GET", `/volumes/${encodeURIComponent(name)}/json`);
    // Podman takes the beginning of a name for the name.
    return found.Name === name ? found : undefined;
  } catch (error) {
    // Not there: an expected answer.
    if (error instanceof OrchdError && error.code === "notFound") return undefined;
    throw error;
  }
}
