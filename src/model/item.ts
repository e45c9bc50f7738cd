import { z } from "zod";
import { digestSchema } from "./digest.ts";
import { itemIdSchema } from "./ids.ts";
import { stackNameSchema } from "./names.ts";

/** What is kept for tasks to read: a secret, or a config, which people may see again. */
export const itemKindSchema = z.enum(["secret", "config"]);
export type ItemKind = z.infer<typeof itemKindSchema>;

/** As in Swarm: 500 KiB of a secret, 1000 KiB of a config. */
export const CONTENT_BYTES_MAX: Readonly<Record<ItemKind, number>> = {
  secret: 500 * 1024,
  config: 1000 * 1024,
};
/** Of all items of a cluster together: new keys re-seal all of it in one commit. */
export const CONTENTS_BYTES_MAX = 64 * 1024 * 1024;
export const ITEMS_MAX = 10_000;
/** Secrets and configs of one service, and of one stack. */
export const GRANTS_MAX = 256;
export const STACK_ITEMS_MAX = 1024;
const LABELS_MAX = 64;

export const ITEM_NAME_PATTERN = /^[a-zA-Z0-9](?:[a-zA-Z0-9._-]{0,126}[a-zA-Z0-9])?$/;
export const ITEM_NAME_RULE =
  "must be 1 to 128 letters, digits, '.', '-' or '_', with a letter or digit at both ends";
export const itemNameSchema = z.string().regex(ITEM_NAME_PATTERN, ITEM_NAME_RULE);

export const itemLabelsSchema = z
  .record(z.string().min(1).max(255), z.string().max(4096))
  .refine((labels) => Object.keys(labels).length <= LABELS_MAX, `has over ${LABELS_MAX} labels`);

const versionNumber = z.int().min(1);

export const itemVersionSchema = z.object({
  number: versionNumber,
  /** Milliseconds since 1970. */
  at: z.int(),
  sizeBytes: z.int().min(1).max(CONTENT_BYTES_MAX.config),
  /** Keyed with the vault's key: it tells whether a content is the same, and nothing else. */
  digest: digestSchema,
});
export type ItemVersion = z.infer<typeof itemVersionSchema>;

export const itemSchema = z.object({
  id: itemIdSchema,
  kind: itemKindSchema,
  /** Its own among all of its kind. */
  name: itemNameSchema,
  /** The stack whose file it comes from and with which it goes; absent for one of the cluster. */
  stack: stackNameSchema.optional(),
  labels: itemLabelsSchema,
  /** Whether its content is a template, filled in for each task on its node. */
  isTemplate: z.boolean(),
  createdAt: z.int(),
  /** Newest first: those that anything kept still uses. */
  versions: z.array(itemVersionSchema).min(1),
  version: z.int(),
});
/** A secret or a config, without its content. */
export type Item = z.infer<typeof itemSchema>;

/** Base 64 of what `pki/seal.ts` makes of the largest content. */
const SEALED_LENGTH_MAX = Math.ceil((CONTENT_BYTES_MAX.config + 64) / 3) * 4;
export const sealedSchema = z
  .string()
  .min(1)
  .max(SEALED_LENGTH_MAX)
  .regex(/^[A-Za-z0-9+/]+={0,2}$/, "is not sealed");

const CONTENT_ID = /^[a-z][0-9a-z]{11}\.[1-9][0-9]{0,9}$/;

export const contentSchema = z.object({
  /** `ITEM.VERSION` */
  id: z.string().regex(CONTENT_ID, "names no content"),
  /** Sealed with the vault's key, for this id alone. */
  sealed: sealedSchema,
  version: z.int(),
});
/** What one version of an item holds; never shown, told or logged. */
export type Content = z.infer<typeof contentSchema>;

export const contentRefSchema = z.object({ id: itemIdSchema, number: versionNumber });
/** One version of one item. */
export type ContentRef = z.infer<typeof contentRefSchema>;

export function contentIdOf({ id, number }: ContentRef): string {
  return `${id}.${number}`;
}

/** The largest id of a user or group: the one above stands for none. */
export const OWNER_ID_MAX = 0xffff_fffe;
export const GRANT_MODE_MAX = 0o777;
export const GRANT_MODE_DEFAULT = 0o444;

export const grantSchema = z.object({
  kind: itemKindSchema,
  /** The item's name in the cluster. */
  name: itemNameSchema,
  /** Where it appears in the container: an absolute path. */
  target: z.string().min(2).max(4096),
  uid: z.int().min(0).max(OWNER_ID_MAX),
  gid: z.int().min(0).max(OWNER_ID_MAX),
  mode: z.int().min(0).max(GRANT_MODE_MAX),
  /** Which version of which item: the cluster's to fill in, when the stack is applied. */
  content: contentRefSchema.optional(),
  isTemplate: z.boolean().optional(),
});
/** A service's share in a secret or config. */
export type Grant = z.infer<typeof grantSchema>;

/** An id of what was sent to the server before it is used. */
export const uploadIdSchema = z.string().regex(/^[a-z][0-9a-z]{11}$/, "names no upload");

export const stackItemSchema = z.object({
  kind: itemKindSchema,
  name: itemNameSchema,
  /** Of one that is there already, and not this stack's, nothing more is said. */
  external: z.boolean(),
  labels: itemLabelsSchema,
  isTemplate: z.boolean(),
  /** Where its content was sent to; absent for an external one. */
  upload: uploadIdSchema.optional(),
});
/** A secret or config as a stack's file declares it. */
export type StackItem = z.infer<typeof stackItemSchema>;

/** The item of that kind and name as people say it: `secret shop_db`. */
export function formatItem({ kind, name }: Pick<Item, "kind" | "name">): string {
  return `${kind} ${name}`;
}

/** The version that counts; an item has one at least. */
export function newestVersion(item: Item): ItemVersion {
  const newest = item.versions[0];
  if (newest === undefined) throw new Error(`item ${item.id} has no version`);
  return newest;
}

/** The item with a new content, as its newest version. */
export function withVersion(item: Item, version: Omit<ItemVersion, "number">): Item {
  const number = newestVersion(item).number + 1;
  return { ...item, versions: [{ number, ...version }, ...item.versions] };
}

/** What is wrong with the size of a content, in one sentence; undefined for nothing. */
export function sizeProblem(kind: ItemKind, sizeBytes: number): string | undefined {
  if (sizeBytes === 0) return `a ${kind} must not be empty`;
  const max = CONTENT_BYTES_MAX[kind];
  if (sizeBytes <= max) return undefined;
  return `a ${kind} has at most ${max / 1024} KiB (${max} bytes)`;
}

export const itemSummarySchema = z.object({
  id: itemIdSchema,
  kind: itemKindSchema,
  name: z.string(),
  stack: z.string().optional(),
  labels: z.record(z.string(), z.string()),
  isTemplate: z.boolean(),
  createdAt: z.int(),
  /** When the newest version was made. */
  updatedAt: z.int(),
  sizeBytes: z.int(),
  /** The newest version. */
  number: versionNumber,
  /** Versions that are kept, the newest first. */
  versions: z.array(z.object({ number: versionNumber, at: z.int(), sizeBytes: z.int() })),
  /** `shop/web`: services that use it now. */
  users: z.array(z.string()),
});
/** An item as people see it. */
export type ItemSummary = z.infer<typeof itemSummarySchema>;

export const itemRequestSchema = z.object({
  name: itemNameSchema,
  upload: uploadIdSchema,
  labels: itemLabelsSchema.default({}),
  isTemplate: z.boolean().default(false),
});
export type ItemRequest = z.infer<typeof itemRequestSchema>;

export const itemUpdateSchema = z.object({ upload: uploadIdSchema });

export const itemUpdateResultSchema = z.object({
  item: itemSummarySchema,
  /** Whether the content is another one than before. */
  changed: z.boolean(),
  /** Services whose tasks are replaced for it. */
  services: z.array(z.string()),
});
export type ItemUpdateResult = z.infer<typeof itemUpdateResultSchema>;

/** A key of the map from names to items. */
export function itemKeyOf(kind: ItemKind, name: string): string {
  return `${kind} ${name}`;
}

/** What of an item a template or a task is told when it is asked for by where it appears. */
export function grantAt(
  grants: readonly Grant[],
  kind: ItemKind,
  target: string,
): Grant | undefined {
  const path = targetPathOf(kind, target);
  return grants.find((grant) => grant.kind === kind && grant.target === path);
}

/** Where an item appears in a container: a secret below /run/secrets, a config below the root. */
export function targetPathOf(kind: ItemKind, target: string): string {
  if (target.startsWith("/")) return target;
  return kind === "secret" ? `/run/secrets/${target}` : `/${target}`;
}
