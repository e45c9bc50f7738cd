import { OrchdError } from "../lib/errors.ts";
import type { Assignment } from "../model/assignment.ts";
import type { ImagePin } from "../model/container.ts";
import { pinnedNameOf } from "../model/image-pin.ts";
import type { ImageIdentity, Runtime } from "../runtime/driver.ts";

/** Names that no registry has. */
const NOWHERE = "localhost/";

type Images = Pick<Runtime, "imageIdentity">;

/** How an image that is not on the node can be had. */
interface ImageWays {
  /** From the site itself; answers whether that has it. */
  fetch: (reference: string) => Promise<boolean>;
  /** From wherever there is one. */
  pull: (reference: string) => Promise<void>;
}

/** What a task's image is here, if a registry has it: what its revision is pinned to. */
export async function findPin(
  runtime: Images,
  { container }: Assignment,
): Promise<ImagePin | undefined> {
  if (container.image.startsWith(NOWHERE)) return undefined;
  const found = await runtime.imageIdentity(container.image);
  const digest = found?.digests[0];
  return found === undefined || digest === undefined ? undefined : { id: found.id, digest };
}

/**
 * The name under which the very image that a task is pinned to is there, or can be had by `pull`.
 * @throws OrchdError what `pull` throws, or `notFound` when the task may fetch nothing
 */
export async function findPinned(
  runtime: Images,
  assignment: Assignment,
  pin: ImagePin,
  { fetch, pull }: ImageWays,
): Promise<string> {
  const { image, pullPolicy } = assignment.container;
  if (isPinned(await runtime.imageIdentity(image), pin)) return image;
  // Its tag may have gone on to another image, and it be still there.
  if ((await runtime.imageIdentity(pin.id)) !== undefined) return pin.id;
  const exact = pinnedNameOf(image, pin);
  if (isPinned(await runtime.imageIdentity(exact), pin)) return exact;
  if (pullPolicy === "never") {
    if (await fetch(exact)) return exact;
    throw new OrchdError(
      "notFound",
      `image ${image} of this revision is ${pin.digest}, which is not on this node: load that ` +
        "one here, or restart the service to begin with another",
    );
  }
  await pull(exact);
  return exact;
}

function isPinned(found: ImageIdentity | undefined, pin: ImagePin): boolean {
  return found !== undefined && (found.id === pin.id || found.digests.includes(pin.digest));
}
