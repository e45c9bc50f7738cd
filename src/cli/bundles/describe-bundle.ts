import { formatBytes, plural } from "../../lib/text.ts";
import type { BundleManifest, BundleResult } from "../../model/bundle.ts";

/** `2 stacks, 3 images, 1 config` */
export function summaryOf({ stacks, images, items, executables }: BundleManifest): string {
  const configs = items.filter(({ kind }) => kind === "config").length;
  const secrets = items.filter(({ kind, path }) => kind === "secret" && path !== undefined).length;
  const counts: [number, string][] = [
    [stacks.length, "stack"],
    [images.length, "image"],
    [configs, "config"],
    [secrets, "sealed secret"],
    [executables.length, "executable of orchd"],
  ];
  const words = counts.flatMap(([count, word]) => {
    if (count === 0) return [];
    return [
      word.includes(" of ") && count > 1 ? `${count} executables of orchd` : plural(count, word),
    ];
  });
  return words.length === 0 ? "nothing" : words.join(", ");
}

/** What it holds, a line for each thing. */
export function linesOf(manifest: BundleManifest): string[] {
  const { stacks, images, items, executables, files, assumes } = manifest;
  const sizeOf = (path: string) => files.find((file) => file.path === path)?.size ?? 0;
  return [
    ...stacks.map(({ name }) => `stack ${name}`),
    ...images.map(({ reference, digest }) => `image ${reference} ${digest}`),
    ...items.map(({ kind, name, path, isSealed }) => {
      const how = path === undefined ? ", left out" : isSealed ? ", sealed" : "";
      return `${kind} ${name}${how}`;
    }),
    ...executables.map(({ version, platform, path }) => {
      return `orchd ${version} for ${platform}, ${formatBytes(sizeOf(path))}`;
    }),
    ...(assumes.length === 0 ? [] : [`without ${plural(assumes.length, "blob")} that is there`]),
  ];
}

/** What an applied bundle has changed, a line for each thing. */
export function changesOf({ images, nodes, items, stacks, executables }: BundleResult): string[] {
  return [
    ...images.filter(({ changed }) => changed).map(({ reference }) => `image ${reference} is kept`),
    ...nodes.flatMap(({ node, references }) =>
      references.map((reference) => `image ${reference} is on ${node}`),
    ),
    ...items
      .filter(({ outcome }) => outcome !== "kept")
      .map(({ kind, name, outcome }) => `${kind} ${name} is ${outcome}`),
    ...executables
      .filter(({ changed }) => changed)
      .map(
        ({ version, platform }) => `orchd ${version} for ${platform} is kept: see orchd upgrade`,
      ),
    ...stacks.map(({ stack, plan }) => {
      const changed = plan.filter(({ action }) => action !== "keep").length;
      const what = changed === 0 ? "is as it was" : `has ${plural(changed, "changed service")}`;
      return `stack ${stack} ${what}`;
    }),
  ];
}
