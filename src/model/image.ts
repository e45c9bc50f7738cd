import { z } from "zod";
import { registryLoginSchema } from "./registry-login.ts";

/** An image that the site keeps. */
export const keptImageSchema = z.object({
  /** In full: `docker.io/library/web:1`. */
  reference: z.string(),
  /** `sha256:…`, of its manifest or index. */
  digest: z.string(),
  /** Manifests and layers together. */
  sizeBytes: z.int(),
  /** When it came, in milliseconds since 1970. */
  at: z.int(),
  /** `linux/arm64`, of an image that is made for several kinds of machines. */
  platforms: z.array(z.string()),
});
export type KeptImage = z.infer<typeof keptImageSchema>;

/** What became of an archive of images. */
export const loadedImagesSchema = z.object({
  /** What it held, in full; the site keeps it. */
  references: z.array(z.string()),
  /** Nodes that are connected: what each has of it, and why not all. */
  nodes: z.array(
    z.object({
      node: z.string(),
      references: z.array(z.string()),
      problem: z.string().optional(),
    }),
  ),
});
export type LoadedImages = z.infer<typeof loadedImagesSchema>;

export const freedSchema = z.object({ freedBytes: z.int() });
export type Freed = z.infer<typeof freedSchema>;

const referenceText = z.string().min(1).max(512);

export const imageCopySchema = z.object({
  /** What the registry elsewhere calls it: `registry.example/team/web:1`. */
  from: referenceText,
  /** What the site calls it; absent means the same. */
  as: referenceText.optional(),
  login: registryLoginSchema.optional(),
  /** Whether it is kept for all kinds of machines, and not those of the cluster alone. */
  all: z.boolean().default(false),
});
export type ImageCopy = z.infer<typeof imageCopySchema>;
export type ImageCopyRequest = z.input<typeof imageCopySchema>;
