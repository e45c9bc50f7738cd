import { storedStackSpec } from "../../core/reconcile/stored-stack.ts";
import { OrchdError } from "../../lib/errors.ts";
import { bundleImages } from "../../images/bundle-images.ts";
import type { ImageStore } from "../../images/image-store.ts";
import { type BundleParts, type BundleRequest, sealPurposeOf } from "../../model/bundle.ts";
import { type ItemKind, itemKeyOf } from "../../model/item.ts";
import type { StackSpec } from "../../model/stack.ts";
import type { View } from "../../model/view.ts";
import { sealFor } from "../../pki/box.ts";

export interface PartsDeps {
  view: View;
  images: ImageStore;
  /** What the newest version of an item holds. */
  contentOf: (kind: ItemKind, name: string) => Uint8Array;
}

/**
 * What this cluster gives to a bundle.
 * @throws OrchdError `notFound` for a stack or image that is not here, `locked`, `invalid`
 */
export async function bundleParts(deps: PartsDeps, request: BundleRequest): Promise<BundleParts> {
  const { view, images } = deps;
  const stacks = request.stacks.map((name) => {
    const stack = view.stacks.get(name);
    if (stack !== undefined && !stack.removing) return { name, spec: storedStackSpec(view, stack) };
    throw new OrchdError("notFound", `there is no stack ${name}: see \`orchd ls\``);
  });
  const items = itemsOf(deps, stacks, request.sealFor);
  const used = stacks.flatMap(({ spec }) =>
    Object.values(spec.services).map(({ container }) => container.image),
  );
  const have = new Set(request.have);
  return { stacks, items, ...(await bundleImages(images, [...used, ...request.images], have)) };
}

function itemsOf(
  { view, contentOf }: PartsDeps,
  stacks: readonly { spec: StackSpec }[],
  sealingKey: string | undefined,
): BundleParts["items"] {
  const items = new Map<string, BundleParts["items"][number]>();
  for (const { kind, name } of stacks.flatMap(({ spec }) => spec.items ?? [])) {
    const item = view.itemNamed(kind, name);
    if (item === undefined) continue;
    const { stack, labels, isTemplate } = item;
    const described = { kind, name, labels, isTemplate, ...(stack === undefined ? {} : { stack }) };
    const isLeftOut = kind === "secret" && sealingKey === undefined;
    const plain = isLeftOut ? undefined : contentOf(kind, name);
    const content =
      plain === undefined
        ? {}
        : kind === "secret" && sealingKey !== undefined
          ? { content: sealFor(sealingKey, sealPurposeOf(kind, name), plain) }
          : { content: Buffer.from(plain).toString("base64") };
    items.set(itemKeyOf(kind, name), { ...described, ...content });
  }
  return [...items.values()];
}
