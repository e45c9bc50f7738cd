import { z } from "zod";
import type { Parsed } from "../../lib/parsed.ts";
import { isDigest } from "./reference.ts";

/**
 * Manifests and indexes of images: OCI image specification 1.1, and Docker's version 2, schema 2,
 * which differ in their media types alone.
 */

export const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;
/** What any builder makes is far less: overlayfs takes 128. */
export const LAYERS_MAX = 512;
const CHILDREN_MAX = 512;
/** Indexes in indexes: deeper ones are no program's. */
export const DEPTH_MAX = 4;

export const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
export const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
export const DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
export const DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json";
export const DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar";

const MANIFESTS = new Set([OCI_MANIFEST, DOCKER_MANIFEST]);
const INDEXES = new Set([OCI_INDEX, DOCKER_LIST]);
/** All kinds of manifests there are here, the commonest first. */
export const MANIFEST_TYPES = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];

const platformSchema = z.object({
  os: z.string().max(128),
  architecture: z.string().max(128),
  variant: z.string().max(128).optional(),
});

const descriptorSchema = z.object({
  mediaType: z.string().max(255),
  digest: z.string().refine(isDigest, "is no digest of SHA-256"),
  size: z.int().min(0).max(Number.MAX_SAFE_INTEGER),
  platform: platformSchema.optional(),
  annotations: z.record(z.string().max(255), z.string().max(16_384)).optional(),
  artifactType: z.string().max(255).optional(),
});
export type Descriptor = z.infer<typeof descriptorSchema>;

const annotationsSchema = z.record(z.string().max(255), z.string().max(65_536)).optional();
const bodySchema = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().max(255).optional(),
  artifactType: z.string().max(255).optional(),
  subject: descriptorSchema.optional(),
  annotations: annotationsSchema,
});
const manifestSchema = bodySchema.extend({
  config: descriptorSchema,
  layers: z.array(descriptorSchema).max(LAYERS_MAX),
});
const indexSchema = bodySchema.extend({ manifests: z.array(descriptorSchema).max(CHILDREN_MAX) });

export interface Manifest {
  mediaType: string;
  /** What it is, of an artifact that is no image. */
  artifactType?: string;
  annotations?: Record<string, string>;
  subject?: Descriptor;
  /** Config and layers; none of an index. */
  blobs: Descriptor[];
  /** Of an index. */
  children: Descriptor[];
  config?: Descriptor;
}

export function isManifestType(mediaType: string): boolean {
  return MANIFESTS.has(mediaType) || INDEXES.has(mediaType);
}

/** @param mediaType as it was said where the text came from; absent means as the text says */
export function parseManifest(text: string, mediaType?: string): Parsed<Manifest> {
  const value = parseJson(text);
  const said = typeof value === "object" && value !== null && "mediaType" in value ? value : {};
  const inside = "mediaType" in said && typeof said.mediaType === "string" ? said.mediaType : "";
  const type = mediaType ?? (inside === "" ? typeByShape(value) : inside);
  if (inside !== "" && inside !== type) return refused(`it says that it is ${inside.slice(0, 99)}`);
  if (!isManifestType(type)) {
    return refused(`its media type ${JSON.stringify(type.slice(0, 99))} is none of an image`);
  }
  const isIndex = INDEXES.has(type);
  const parsed = (isIndex ? indexSchema : manifestSchema).safeParse(value);
  if (!parsed.success) return refused(sentenceOf(parsed.error));
  return { ok: true, value: manifestOf(type, parsed.data) };
}

function manifestOf(
  mediaType: string,
  body: z.infer<typeof manifestSchema> | z.infer<typeof indexSchema>,
): Manifest {
  const { subject, annotations } = body;
  const config = "config" in body ? body.config : undefined;
  const artifactType = body.artifactType ?? config?.mediaType;
  return {
    mediaType,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
    ...(subject === undefined ? {} : { subject }),
    ...(config === undefined ? {} : { config }),
    blobs: "config" in body ? [body.config, ...body.layers.filter((one) => !isForeign(one))] : [],
    children: "manifests" in body ? body.manifests : [],
  };
}

/** Layers that may not be passed on, by their license: whoever wants them gets them elsewhere. */
function isForeign({ mediaType }: Descriptor): boolean {
  return mediaType.includes(".foreign.") || mediaType.includes(".nondistributable.");
}

function typeByShape(value: unknown): string {
  if (typeof value !== "object" || value === null) return "";
  if ("manifests" in value) return OCI_INDEX;
  return "layers" in value ? OCI_MANIFEST : "";
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // Whoever asked says in which words it is refused.
    return undefined;
  }
}

function sentenceOf(error: z.ZodError): string {
  const [issue] = error.issues;
  const where = issue === undefined ? "" : issue.path.join(".");
  return `${where === "" ? "it" : where} ${issue?.message ?? "makes no sense"}`.toLowerCase();
}

function refused(why: string): Parsed<Manifest> {
  return { ok: false, problem: `the manifest is refused: ${why}` };
}
