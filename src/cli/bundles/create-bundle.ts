import type { ApiClient } from "../../api/client.ts";
import { OrchdError } from "../../lib/errors.ts";
import {
  BUNDLE_FORMAT,
  type BundleItem,
  type BundleManifest,
  type BundleParts,
  type BundleSignature,
  bundleManifestSchema,
  sealPurposeOf,
} from "../../model/bundle.ts";
import type { ItemKind } from "../../model/item.ts";
import type { StackSpec } from "../../model/stack.ts";
import { nameOfSealingKey, sealFor } from "../../pki/box.ts";
import { publicPemOf, signBundle } from "../../pki/release-key.ts";
import type { Project } from "../compose/load-project.ts";
import type { Io } from "../io.ts";
import {
  bundlePieces,
  type BundleSource,
  layoutSources,
  sourceOfBlob,
  sourceOfBytes,
  sourceOfExecutable,
  sourceOfJson,
} from "./bundle-content.ts";

/** What is to be in a bundle. */
export interface BundleWish {
  /** Stacks of the cluster. */
  stacks: readonly string[];
  /** A stack of a Compose file. */
  project?: { name: string; spec: StackSpec; contents: Project["contents"] };
  /** Images besides those of the stacks. */
  images: readonly string[];
  /** Digests of blobs that the target has. */
  have: readonly string[];
  /** The target's sealing key; absent leaves secrets out. */
  sealFor?: string;
  /** Files. */
  executables: readonly string[];
  /** PEM; absent lets the cluster sign. */
  signingKey?: string;
}

export interface PreparedBundle {
  manifest: BundleManifest;
  /** `secret shop_db`: what is not in it, since there is nobody to seal it for. */
  leftOut: string[];
  pieces: AsyncIterable<Uint8Array>;
}

const NO_PARTS: BundleParts = {
  stacks: [],
  items: [],
  images: [],
  blobs: [],
  assumes: [],
  docker: [],
};

/**
 * Gathers what a bundle is to hold; its blobs are read while it is written.
 * @param connect to the cluster, which is asked only where something of it is needed
 */
export async function prepareBundle(
  io: Io,
  connect: () => Promise<ApiClient>,
  wish: BundleWish,
  { orchdVersion, signal }: { orchdVersion: string; signal: AbortSignal },
): Promise<PreparedBundle> {
  const own = wish.project && (await stackOfProject(wish.project, wish.sealFor));
  const images = [...wish.images, ...(own === undefined ? [] : imagesOf(own.stacks))];
  const asksCluster = wish.stacks.length > 0 || images.length > 0;
  const client = asksCluster || wish.signingKey === undefined ? await connect() : undefined;
  const { have } = wish;
  const request = { stacks: [...wish.stacks], images, have: [...have] };
  const sealing = wish.sealFor === undefined ? {} : { sealFor: wish.sealFor };
  const parts =
    client && asksCluster ? await client.bundles.parts({ ...request, ...sealing }) : NO_PARTS;
  const all = { ...parts, ...merged(parts, own) };
  const gathered = gather(io, all, wish);
  const blobs = all.blobs.map((blob) =>
    sourceOfBlob(blob, () => blobOf(client, blob.digest, signal)),
  );
  const sources = uniqueSources([...gathered.sources, ...blobs]);
  const manifest = bundleManifestSchema.parse({
    format: BUNDLE_FORMAT,
    createdAt: io.clock.now(),
    orchdVersion,
    ...gathered.manifest,
    ...(wish.sealFor === undefined ? {} : { sealedFor: nameOfSealingKey(wish.sealFor) }),
    files: sources.map(({ file }) => file),
  });
  const text = JSON.stringify(manifest);
  const bytes = new TextEncoder().encode(text);
  const signature = await signatureOf(client, text, bytes, wish.signingKey);
  const leftOut = manifest.items.flatMap(({ kind, name, path }) =>
    path === undefined ? [`${kind} ${name}`] : [],
  );
  return { manifest, leftOut, pieces: bundlePieces(bytes, signature, sources) };
}

type OwnParts = Pick<BundleParts, "stacks" | "items">;

function merged(parts: BundleParts, own: OwnParts | undefined): OwnParts {
  const stacks = [...(own?.stacks ?? []), ...parts.stacks];
  const twice = stacks.find(({ name }, at) => stacks.findIndex((o) => o.name === name) !== at);
  if (twice === undefined) return { stacks, items: [...(own?.items ?? []), ...parts.items] };
  throw new OrchdError("usage", `the stack ${twice.name} is named twice: in a file and by name`);
}

/** A Compose file's stack, and what its secrets and configs hold. */
async function stackOfProject(
  { name, spec, contents }: NonNullable<BundleWish["project"]>,
  sealingKey: string | undefined,
): Promise<OwnParts> {
  const bytesOf = (kind: ItemKind, item: string) =>
    contents.find((one) => one.kind === kind && one.name === item)?.bytes;
  const items = (spec.items ?? []).flatMap((item) => {
    const { kind, name: itemName, labels, isTemplate, external } = item;
    const bytes = bytesOf(kind, itemName);
    // What is external is at the target, or comes with another stack.
    if (external || bytes === undefined) return [];
    const content = encoded(kind, itemName, bytes, sealingKey);
    return [{ kind, name: itemName, stack: name, labels, isTemplate, ...content }];
  });
  return { stacks: [{ name, spec }], items };
}

function encoded(
  kind: ItemKind,
  name: string,
  bytes: Uint8Array,
  sealingKey: string | undefined,
): { content?: string } {
  if (kind === "config") return { content: Buffer.from(bytes).toString("base64") };
  if (sealingKey === undefined) return {};
  return { content: sealFor(sealingKey, sealPurposeOf(kind, name), bytes) };
}

function gather(io: Io, parts: BundleParts, wish: BundleWish) {
  const sources: BundleSource[] = layoutSources(parts);
  const stacks = parts.stacks.map(({ name, spec }) => {
    const source = sourceOfJson(`orchd/stacks/${name}.json`, spec);
    sources.push(source);
    return { name, path: source.file.path };
  });
  const items = parts.items.map(({ content, ...item }, at): BundleItem => {
    const isSealed = item.kind === "secret" && content !== undefined;
    if (content === undefined) return { ...item, isSealed };
    const bytes = Buffer.from(content, isSealed ? "utf8" : "base64");
    const source = sourceOfBytes(`orchd/items/${at}`, new Uint8Array(bytes));
    sources.push(source);
    return { ...item, isSealed, path: source.file.path };
  });
  const executables = wish.executables.map((name) => {
    const { source, executable } = sourceOfExecutable(io, name);
    sources.push(source);
    return executable;
  });
  const { images, assumes } = parts;
  return { sources, manifest: { images, stacks, items, executables, assumes } };
}

/** Each file once: an executable may be named twice. */
function uniqueSources(sources: readonly BundleSource[]): BundleSource[] {
  return [...new Map(sources.map((source) => [source.file.path, source])).values()];
}

function imagesOf(stacks: readonly { spec: StackSpec }[]): string[] {
  const services = stacks.flatMap(({ spec }) => Object.values(spec.services));
  return [...new Set(services.map(({ container }) => container.image))];
}

async function* blobOf(
  client: ApiClient | undefined,
  digest: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (client !== undefined) yield* client.bundles.blob(digest, signal);
}

async function signatureOf(
  client: ApiClient | undefined,
  text: string,
  bytes: Uint8Array,
  key: string | undefined,
): Promise<BundleSignature> {
  if (key !== undefined) return { publicKey: publicPemOf(key), signature: signBundle(key, bytes) };
  if (client !== undefined) return client.bundles.sign(text);
  throw new OrchdError("usage", "name a key to sign with, or a cluster that signs");
}
