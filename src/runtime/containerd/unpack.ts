import { OrchdError } from "../../lib/errors.ts";
import { digestOf } from "./content.ts";
import { isCode } from "./errors.ts";
import type { ContainerdGrpc } from "./grpc.ts";
import type { Descriptor } from "./image-documents.ts";
import { METHODS } from "./methods.ts";

/** The one that every Linux has; containerd makes it at its start. */
export const SNAPSHOTTER = "overlayfs";
/** A large layer onto an SD card. */
const APPLY_TIMEOUT_MS = 1_800_000;

let extractions = 0;

/** The name of the snapshot that has these layers, one upon the other (OCI image-spec, ChainID). */
export function chainIdOf(diffIds: readonly string[]): string {
  return diffIds.reduce((chain, diff) => (chain === "" ? diff : digestOf(`${chain} ${diff}`)), "");
}

/**
 * Unpacks an image's layers, of which those that are there already are not looked at.
 * @returns the bytes that all of them have on the disk
 */
export async function unpackLayers(
  grpc: ContainerdGrpc,
  layers: readonly Descriptor[],
  diffIds: readonly string[],
  lease: string,
): Promise<number> {
  if (layers.length !== diffIds.length) {
    throw new OrchdError("invalid", "the image is damaged: its layers are not those it names");
  }
  let bytes = 0;
  for (const [index, layer] of layers.entries()) {
    const parent = chainIdOf(diffIds.slice(0, index));
    const name = chainIdOf(diffIds.slice(0, index + 1));
    if (!(await hasSnapshot(grpc, name))) {
      await unpackLayer(grpc, { layer, diffId: diffIds[index] ?? "", parent, name }, lease);
    }
    const own = { snapshotter: SNAPSHOTTER, key: name };
    bytes += (await grpc.call(METHODS.snapshotUsage, own)).size;
  }
  return bytes;
}

async function hasSnapshot(grpc: ContainerdGrpc, key: string): Promise<boolean> {
  try {
    await grpc.call(METHODS.statSnapshot, { snapshotter: SNAPSHOTTER, key });
    return true;
  } catch (error) {
    // Not unpacked: an expected answer.
    if (isCode(error, "notFound")) return false;
    throw error;
  }
}

async function unpackLayer(
  grpc: ContainerdGrpc,
  step: { layer: Descriptor; diffId: string; parent: string; name: string },
  lease: string,
): Promise<void> {
  const { layer, diffId, parent, name } = step;
  extractions += 1;
  const key = `extract-${process.pid}-${Date.now()}-${extractions} ${name}`;
  const own = { snapshotter: SNAPSHOTTER, key };
  const { mounts } = await grpc.call(METHODS.prepareSnapshot, { ...own, parent }, { lease });
  try {
    const timeoutMs = APPLY_TIMEOUT_MS;
    const { applied } = await grpc.call(
      METHODS.apply,
      { diff: layer, mounts },
      { lease, timeoutMs },
    );
    if (applied.digest !== diffId) {
      throw new OrchdError("invalid", `the image is damaged: ${diffId} of it is ${applied.digest}`);
    }
    await grpc.call(METHODS.commitSnapshot, { ...own, name }, { lease });
  } catch (error) {
    await grpc.call(METHODS.removeSnapshot, own).catch(() => {
      // What is left of it goes with the lease.
    });
    // Another import of the same layer was faster.
    if (!isCode(error, "conflict")) throw error;
  }
}
