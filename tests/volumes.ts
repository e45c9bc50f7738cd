import { OrchdError } from "../src/lib/errors.ts";
import type { VolumeCalls } from "../src/model/volume.ts";

function none(): never {
  throw new OrchdError("notFound", "there are no volumes here");
}

/** A node without volumes. */
export const NO_VOLUMES: VolumeCalls = {
  list: async () => [],
  read: async () => none(),
  write: async () => none(),
  hold: async () => none(),
};
