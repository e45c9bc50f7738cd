import { z } from "zod";

/** The documents of an image as Docker and the OCI define them; of each what orchd reads. */

const texts = z.array(z.string());

export const descriptorSchema = z.object({
  mediaType: z.string().default(""),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  size: z.int().min(0),
  platform: z
    .object({ os: z.string(), architecture: z.string(), variant: z.string().nullish() })
    .nullish(),
});
export type Descriptor = z.infer<typeof descriptorSchema>;

export const manifestSchema = z.object({
  mediaType: z.string().nullish(),
  config: descriptorSchema,
  layers: z.array(descriptorSchema).max(1000),
});

export const indexSchema = z.object({
  mediaType: z.string().nullish(),
  manifests: z.array(descriptorSchema).max(1000),
});

export const imageConfigSchema = z.object({
  created: z.string().nullish(),
  os: z.string().default(""),
  architecture: z.string().default(""),
  rootfs: z.object({ diff_ids: texts.nullish() }),
  config: z
    .object({
      User: z.string().nullish(),
      Env: texts.nullish(),
      Entrypoint: texts.nullish(),
      Cmd: texts.nullish(),
      WorkingDir: z.string().nullish(),
      Volumes: z.record(z.string(), z.unknown()).nullish(),
      StopSignal: z.string().nullish(),
      Healthcheck: z
        .object({
          Test: texts.nullish(),
          Interval: z.number().nullish(),
          Timeout: z.number().nullish(),
          StartPeriod: z.number().nullish(),
          StartInterval: z.number().nullish(),
          Retries: z.number().nullish(),
        })
        .nullish(),
    })
    .nullish(),
});
export type ImageConfig = z.infer<typeof imageConfigSchema>;

export const MEDIA = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
  layerGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
} as const;

/** A document of a known shape; undefined for what is none. */
export function parseDocument<T>(schema: z.ZodType<T>, bytes: Uint8Array): T | undefined {
  try {
    return schema.safeParse(JSON.parse(new TextDecoder().decode(bytes))).data;
  } catch {
    // Not JSON at all.
    return undefined;
  }
}

export function isIndex({ mediaType }: { mediaType: string }): boolean {
  return mediaType === MEDIA.index || mediaType === MEDIA.dockerList;
}

/** Whether a manifest of an index is for `os/architecture[/variant]`. */
export function isFor({ platform }: Descriptor, wanted: string): boolean {
  const [os, architecture, variant] = wanted.split("/");
  if (platform?.os !== os || platform?.architecture !== architecture) return false;
  return variant === undefined || platform?.variant === variant;
}

/** `linux/amd64`: what this machine runs, in the words of images. */
export function ownPlatform(): string {
  const names: Record<string, string> = { x64: "amd64", ia32: "386", ppc64: "ppc64le" };
  return `linux/${names[process.arch] ?? process.arch}`;
}
