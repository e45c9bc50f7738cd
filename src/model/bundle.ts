import { z } from "zod";
import { blobDigestSchema, digestSchema } from "./digest.ts";
import { pemSchema } from "./cluster.ts";
import { type ItemKind, itemKindSchema, itemLabelsSchema, itemNameSchema } from "./item.ts";
import { keptImageSchema, loadedImagesSchema } from "./image.ts";
import { stackNameSchema } from "./names.ts";
import { stackSpecSchema } from "./stack.ts";
import { applyResultSchema } from "./summary.ts";

/** A bundle with a greater one is refused. */
export const BUNDLE_FORMAT = 1;
/** What a bundle says of itself, and its signature: they stand in front. */
export const BUNDLE_NAME = "orchd/bundle.json";
export const SIGNATURE_NAME = "orchd/signature.json";
export const BUNDLE_TEXT_MAX = 3 * 1024 * 1024;
export const SIGNATURE_TEXT_MAX = 8192;
export const BUNDLE_FILES_MAX = 8192;
/** Blobs that a target may be said to have. */
const HAVE_MAX = 40_000;
/** A stack as JSON, and one content, which is longer once it is sealed. */
export const BUNDLE_PART_MAX = 4 * 1024 * 1024;
/** All stacks and contents together, which are in memory until all of it is checked. */
export const BUNDLE_PARTS_MAX = 64 * 1024 * 1024;
export const EXECUTABLE_BYTES_MAX = 1024 ** 3;

/** One name after the other, of which none begins with a dot: nothing leads out of a folder. */
const PATH = /^(?:[A-Za-z0-9_][A-Za-z0-9._-]*\/)*[A-Za-z0-9_][A-Za-z0-9._-]*$/;
const pathSchema = z.string().max(100).regex(PATH, "is no path of a bundle");

const bundleFileSchema = z.object({
  path: pathSchema,
  size: z.int().min(0),
  /** Hexadecimal digits. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/, "is no SHA-256"),
});
export type BundleFile = z.infer<typeof bundleFileSchema>;

const bundleImageSchema = z.object({
  /** In full. */
  reference: z.string().min(1).max(512),
  mediaType: z.string().max(255),
  /** Of its manifest or index. */
  digest: blobDigestSchema,
  size: z.int().min(0),
});
export type BundleImage = z.infer<typeof bundleImageSchema>;

const itemSchema = z.object({
  kind: itemKindSchema,
  name: itemNameSchema,
  /** The stack whose file it comes from; absent for one of the cluster. */
  stack: stackNameSchema.optional(),
  labels: itemLabelsSchema,
  isTemplate: z.boolean(),
});

const bundleItemSchema = itemSchema.extend({
  /** The file with its content; absent where that was left out. */
  path: pathSchema.optional(),
  /** Whether the file is sealed, for the cluster whose key is named by `sealedFor`. */
  isSealed: z.boolean(),
});
export type BundleItem = z.infer<typeof bundleItemSchema>;

/** The kinds of machines that orchd is built for, as images name them. */
export const EXECUTABLE_PLATFORMS = ["linux/amd64", "linux/arm64"] as const;

const bundleExecutableSchema = z.object({
  path: pathSchema,
  platform: z.enum(EXECUTABLE_PLATFORMS),
  version: z.string().min(1).max(64),
});
export type BundleExecutable = z.infer<typeof bundleExecutableSchema>;

export const bundleManifestSchema = z.object({
  /** Changes when a reader of before would misunderstand it. */
  format: z.literal(BUNDLE_FORMAT),
  /** Milliseconds since 1970, by the clock of whoever made it. */
  createdAt: z.int(),
  orchdVersion: z.string().max(64),
  images: z.array(bundleImageSchema).max(1024),
  stacks: z.array(z.object({ name: stackNameSchema, path: pathSchema })).max(1024),
  items: z.array(bundleItemSchema).max(10_000),
  /** Names the sealing key of the target; absent where nothing is sealed. */
  sealedFor: digestSchema.optional(),
  executables: z.array(bundleExecutableSchema).max(8),
  /** Blobs that the target has already and that are left out here. */
  assumes: z.array(blobDigestSchema).max(BUNDLE_FILES_MAX),
  /** All that follows, in this order, and nothing else. */
  files: z.array(bundleFileSchema).max(BUNDLE_FILES_MAX),
});
/** What a bundle holds; the signature is of its text. */
export type BundleManifest = z.infer<typeof bundleManifestSchema>;

export const bundleSignatureSchema = z.object({
  /** The key that it is to be checked with, PEM; whether it is trusted is another question. */
  publicKey: pemSchema,
  /** Base 64. */
  signature: z.string().min(1).max(1024),
});
export type BundleSignature = z.infer<typeof bundleSignatureSchema>;

export const bundleKeysSchema = z.object({
  /** What secrets for this cluster are sealed with: one line. */
  sealing: z.string(),
  /** What its bundles are checked with, PEM. */
  signing: z.string(),
});
export type BundleKeys = z.infer<typeof bundleKeysSchema>;

export const bundleRequestSchema = z.object({
  /** Stacks of the cluster, as they are now. */
  stacks: z.array(stackNameSchema).max(1024),
  /** Images besides those of the stacks. */
  images: z.array(z.string().min(1).max(512)).max(1024),
  /** Digests of blobs that the target has. */
  have: z.array(blobDigestSchema).max(HAVE_MAX),
  /** The target's sealing key; absent leaves secrets out. */
  sealFor: z.string().max(200).optional(),
});
export type BundleRequest = z.infer<typeof bundleRequestSchema>;

/** What a cluster gives to a bundle, but for the blobs themselves. */
export const bundlePartsSchema = z.object({
  stacks: z.array(z.object({ name: stackNameSchema, spec: stackSpecSchema })),
  items: z.array(
    itemSchema.extend({
      /** Base 64; sealed of a secret. Absent where it was left out. */
      content: z.string().optional(),
    }),
  ),
  images: z.array(bundleImageSchema),
  blobs: z.array(z.object({ digest: blobDigestSchema, size: z.int().min(0) })),
  assumes: z.array(blobDigestSchema),
  /** The images as `docker load` looks for them. */
  docker: z.array(
    z.object({ Config: z.string(), RepoTags: z.array(z.string()), Layers: z.array(z.string()) }),
  ),
});
export type BundleParts = z.infer<typeof bundlePartsSchema>;

export const bundleResultSchema = z.object({
  /** Whether anything is other than before. */
  changed: z.boolean(),
  images: z.array(
    keptImageSchema.pick({ reference: true, digest: true }).extend({
      changed: z.boolean(),
    }),
  ),
  /** Which nodes have the images that came. */
  nodes: loadedImagesSchema.shape.nodes,
  items: z.array(
    z.object({
      kind: itemKindSchema,
      name: z.string(),
      outcome: z.enum(["created", "updated", "kept"]),
    }),
  ),
  stacks: z.array(applyResultSchema),
  executables: z.array(
    z.object({
      version: z.string(),
      platform: z.string(),
      digest: blobDigestSchema,
      changed: z.boolean(),
    }),
  ),
});
/** What an applied bundle has changed. */
export type BundleResult = z.infer<typeof bundleResultSchema>;

/** For what a secret of a bundle is sealed: another one can't be put in its place. */
export function sealPurposeOf(kind: ItemKind, name: string): string {
  return `orchd bundle ${kind} ${name}`;
}

export function blobPathOf(digest: string): string {
  return `blobs/sha256/${digest.slice("sha256:".length)}`;
}
