import type { ApiDeps } from "../../api/deps.ts";
import type { ImageStore } from "../../images/image-store.ts";
import type { LoadedImages } from "../../model/image.ts";
import type { Store } from "../../store/store.ts";
import { messageOf, OrchdError } from "../../lib/errors.ts";
import { parseImageReference, repositoryOf } from "../../core/oci/reference.ts";
import { putExecutable, readMark } from "../../images/executables.ts";
import type { BundleItem, BundleManifest, BundleResult } from "../../model/bundle.ts";
import { sealPurposeOf } from "../../model/bundle.ts";
import { formatItem, itemKeyOf, newestVersion, type StackItem } from "../../model/item.ts";
import { type StackSpec, stackSpecSchema } from "../../model/stack.ts";
import { nameOfSealingKey, openSealed, sealingKeyOf } from "../../pki/box.ts";
import type { Items } from "../vault/items.ts";
import type { ReceivedBundle } from "./receive-bundle.ts";

/** What a bundle is applied to. */
export interface ApplyDeps {
  store: Store;
  images: ImageStore;
  items: Items;
  applyStack: ApiDeps["applyStack"];
  /** Has the connected nodes get images that the site keeps. */
  fetchImages(references: readonly string[]): Promise<LoadedImages>;
}

interface Applying extends ApplyDeps {
  /** PEM: opens what is sealed for this cluster. */
  caKey: string;
}

interface NamedStack {
  name: string;
  spec: StackSpec;
}

/**
 * Makes the site be what a bundle says that was checked: images, then secrets and configs, then
 * stacks. What a plan can tell beforehand is asked before the first change.
 * @throws OrchdError `conflict`, `invalid`, `damaged`, `locked`
 */
export async function applyReceived(
  applying: Applying,
  { manifest, parts }: ReceivedBundle,
): Promise<BundleResult> {
  const stacks = readStacks(manifest, parts);
  const contents = readContents(applying, manifest, parts);
  for (const image of manifest.images) await applying.images.requireWhole(image);
  for (const executable of manifest.executables) await requireExecutable(applying, executable);
  const before = numbersOf(applying, manifest);
  await rehearse(applying, stacks, contents);
  const executables = await putExecutables(applying, manifest);
  const images = await putImages(applying, manifest);
  const came = images.filter(({ changed }) => changed).map(({ reference }) => reference);
  const { nodes } = came.length === 0 ? { nodes: [] } : await applying.fetchImages(came);
  const shared = manifest.items.filter(({ stack }) => stack === undefined);
  for (const item of shared) await putShared(applying, item, contents);
  const results = [];
  for (const { name, spec } of stacks) {
    const sent = withUploads(applying, name, spec, contents);
    results.push(await applying.applyStack(name, sent, { dryRun: false, prune: false }));
  }
  const items = outcomesOf(applying, manifest, before);
  const changed =
    [...images, ...executables].some((one) => one.changed) ||
    items.some(({ outcome }) => outcome !== "kept") ||
    results.some(({ plan }) => plan.some(({ action }) => action !== "keep"));
  return { changed, images, nodes, items, stacks: results, executables };
}

/** Takes the executables of a bundle that was checked, and nothing else of it. */
export async function applyExecutables(
  applying: Applying,
  { manifest }: ReceivedBundle,
): Promise<BundleResult> {
  if (manifest.executables.length === 0) {
    throw new OrchdError("invalid", "there is no executable of orchd in the bundle");
  }
  for (const executable of manifest.executables) await requireExecutable(applying, executable);
  const executables = await putExecutables(applying, manifest);
  const changed = executables.some((one) => one.changed);
  return { changed, images: [], nodes: [], items: [], stacks: [], executables };
}

function readStacks({ stacks }: BundleManifest, parts: ReceivedBundle["parts"]): NamedStack[] {
  return stacks.map(({ name, path }) => {
    try {
      const text = new TextDecoder().decode(parts.get(path));
      return { name, spec: stackSpecSchema.parse(JSON.parse(text)) };
    } catch (cause) {
      const message = `nothing is changed: the stack ${name} in the bundle makes no sense here`;
      throw new OrchdError("invalid", message, { cause });
    }
  });
}

/** What each item holds, opened; items that were left out are missing. */
function readContents(
  { caKey }: Applying,
  { items, sealedFor }: BundleManifest,
  parts: ReceivedBundle["parts"],
): Map<string, Uint8Array> {
  const contents = new Map<string, Uint8Array>();
  const isForUs = sealedFor === nameOfSealingKey(sealingKeyOf(caKey));
  for (const { kind, name, path, isSealed } of items) {
    if (path === undefined) continue;
    const bytes = parts.get(path) ?? new Uint8Array();
    const what = formatItem({ kind, name });
    if (isSealed && !isForUs) {
      const message =
        `nothing is changed: ${what} is sealed for another cluster: make the bundle with --for ` +
        "and what `orchd bundle key` prints here";
      throw new OrchdError("forbidden", message);
    }
    const sealed = new TextDecoder().decode(bytes);
    const plain = isSealed ? openSealed(caKey, sealPurposeOf(kind, name), sealed) : bytes;
    if (plain === undefined) {
      throw new OrchdError("damaged", `nothing is changed: ${what} can't be opened`);
    }
    contents.set(itemKeyOf(kind, name), plain);
  }
  return contents;
}

/** Asks of every stack whether it could be applied. What it needs of the bundle may be to come. */
async function rehearse(
  applying: Applying,
  stacks: readonly NamedStack[],
  contents: ReadonlyMap<string, Uint8Array>,
): Promise<void> {
  const view = applying.store.view();
  for (const { name, spec } of stacks) {
    const toCome = (spec.items ?? []).filter(
      ({ kind, name: item, external }) =>
        external && view.itemNamed(kind, item) === undefined && contents.has(itemKeyOf(kind, item)),
    );
    const sent = withUploads(applying, name, spec, contents);
    if (toCome.length > 0) continue;
    try {
      await applying.applyStack(name, sent, { dryRun: true, prune: false });
    } catch (error) {
      if (!(error instanceof OrchdError)) throw error;
      const why = messageOf(error);
      const message = `nothing is changed: stack ${name} can't be applied here: ${why}`;
      throw new OrchdError(error.code, message);
    }
  }
}

/** A stack's own contents, each to be found by its id; one that was left out is as it is here. */
function withUploads(
  { items, store }: Applying,
  stack: string,
  spec: StackSpec,
  contents: ReadonlyMap<string, Uint8Array>,
): StackSpec {
  if (spec.items === undefined) return spec;
  const sent = spec.items.map((item): StackItem => {
    if (item.external) return item;
    const { kind, name } = item;
    const known = store.view().itemNamed(kind, name)?.stack === stack;
    const kept = known ? items.newestContent(kind, name) : undefined;
    const bytes = contents.get(itemKeyOf(kind, name)) ?? kept;
    if (bytes === undefined) {
      const message =
        `nothing is changed: the bundle leaves out ${formatItem(item)}, and it is not here: make ` +
        "the bundle with --for and what `orchd bundle key` prints here";
      throw new OrchdError("notFound", message);
    }
    return { ...item, upload: items.upload(bytes) };
  });
  return { ...spec, items: sent };
}

/** Whether it is what the bundle says: the signature is of somebody who may have been mistaken. */
async function requireExecutable(
  { images }: Applying,
  { path, version, platform }: BundleManifest["executables"][number],
): Promise<void> {
  const found = await readMark(images, digestOfPath(path));
  if (found.version === version && found.platform === platform) return;
  const message =
    `nothing is changed: the executable of orchd in the bundle is ${found.version} for ` +
    `${found.platform}, and not ${version} for ${platform} as it says`;
  throw new OrchdError("invalid", message);
}

async function putExecutables(
  { images }: Applying,
  { executables, files }: BundleManifest,
): Promise<BundleResult["executables"]> {
  const results: BundleResult["executables"] = [];
  for (const { path, version, platform } of executables) {
    const { size = 0 } = files.find((file) => file.path === path) ?? {};
    const digest = digestOfPath(path);
    const changed = await putExecutable(images, { digest, size, version, platform });
    results.push({ version, platform, digest, changed });
  }
  return results;
}

function digestOfPath(path: string): string {
  return `sha256:${path.slice("blobs/sha256/".length)}`;
}

async function putImages(
  { images }: Applying,
  manifest: BundleManifest,
): Promise<BundleResult["images"]> {
  const results: BundleResult["images"] = [];
  for (const { reference, mediaType, digest } of manifest.images) {
    const parsed = parseImageReference(reference);
    if (!parsed.ok) throw new OrchdError("invalid", parsed.problem);
    const repository = repositoryOf(parsed.value);
    const { tag } = parsed.value;
    const before = images.find(repository, tag ?? digest);
    const changed = before?.digest !== digest || before.isCopy;
    if (changed) {
      const bytes = await images.requireWhole({ digest, mediaType });
      const named = tag === undefined ? {} : { tag };
      await images.putManifest({ repository, ...named, mediaType, bytes, mayLack: "children" });
    }
    results.push({ reference, digest, changed });
  }
  return results;
}

/** A secret or config of the cluster: made, or given what the bundle has. */
async function putShared(
  { items, store }: Applying,
  { kind, name, labels, isTemplate }: BundleItem,
  contents: ReadonlyMap<string, Uint8Array>,
): Promise<void> {
  const bytes = contents.get(itemKeyOf(kind, name));
  if (bytes === undefined) return;
  const upload = items.upload(bytes);
  if (store.view().itemNamed(kind, name) === undefined) {
    await items.create(kind, { name, upload, labels, isTemplate });
  } else await items.update(kind, name, upload);
}

/** The newest version of each item that is there, by its key. */
function numbersOf({ store }: Applying, { items }: BundleManifest): Map<string, number> {
  const numbers = new Map<string, number>();
  for (const { kind, name } of items) {
    const item = store.view().itemNamed(kind, name);
    if (item !== undefined) numbers.set(itemKeyOf(kind, name), newestVersion(item).number);
  }
  return numbers;
}

function outcomesOf(
  applying: Applying,
  manifest: BundleManifest,
  before: ReadonlyMap<string, number>,
): BundleResult["items"] {
  const after = numbersOf(applying, manifest);
  return manifest.items.map(({ kind, name }) => {
    const key = itemKeyOf(kind, name);
    const isNew = before.get(key) === undefined && after.has(key);
    const outcome = isNew ? "created" : before.get(key) === after.get(key) ? "kept" : "updated";
    return { kind, name, outcome };
  });
}
