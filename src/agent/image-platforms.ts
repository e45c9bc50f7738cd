import { OrchdError } from "../lib/errors.ts";
import type { NodeFacts } from "../model/node.ts";
import type { Runtime } from "../runtime/driver.ts";

/** What else a processor can run, by the names of images. */
const ALSO_RUNS: Readonly<Record<string, readonly string[]>> = { arm64: ["arm"], amd64: ["386"] };
const FOREIGN_MAX = 64;

export interface ImagePlatformsOptions {
  runtime: Pick<Runtime, "imagePlatform">;
  /** What this machine is. */
  platform: NodeFacts["platform"];
  /** Hears of all images that are here for another platform, by reference. */
  onForeign(images: Record<string, string>): void;
}

/** Keeps images that are made for another kind of machine from being started on this one. */
export class ImagePlatforms {
  readonly #options: ImagePlatformsOptions;
  /** By reference, as services write it: looked at once for as long as no image comes. */
  readonly #known = new Map<string, string>();

  constructor(options: ImagePlatformsOptions) {
    this.#options = options;
  }

  /**
   * Looks at the image before a container is made of it; one that is not here says nothing.
   * @throws OrchdError `runtime` when this machine can't run it
   */
  async check(reference: string): Promise<void> {
    const known =
      this.#known.get(reference) ?? (await this.#options.runtime.imagePlatform(reference));
    if (known === undefined) return;
    const isNews = !this.#known.has(reference);
    this.#known.set(reference, known);
    if (this.#canRun(known)) return;
    if (isNews) this.#tell();
    const { os, arch } = this.#options.platform;
    throw new OrchdError(
      "runtime",
      `image ${reference} is for ${known}, and the node is ${os}/${arch}`,
    );
  }

  /** Images came: what was known of those that were here may not hold any more. */
  forget(): void {
    const hadForeign = this.#foreign().length > 0;
    this.#known.clear();
    if (hadForeign) this.#tell();
  }

  #tell(): void {
    this.#options.onForeign(Object.fromEntries(this.#foreign().slice(-FOREIGN_MAX)));
  }

  #foreign(): [reference: string, platform: string][] {
    return [...this.#known].filter(([, platform]) => !this.#canRun(platform));
  }

  #canRun(image: string): boolean {
    const { os, arch } = this.#options.platform;
    const [imageOs, imageArch = ""] = image.split("/");
    return imageOs === os && (imageArch === arch || ALSO_RUNS[arch]?.includes(imageArch) === true);
  }
}
