import { newId } from "../../lib/ids.ts";
import { equalJson, sortedBy } from "../../lib/order.ts";
import type { Random } from "../../lib/random.ts";
import { put, remove, type Change } from "../../model/change.ts";
import type { ItemId } from "../../model/ids.ts";
import {
  contentIdOf,
  CONTENTS_BYTES_MAX,
  formatItem,
  itemKeyOf,
  ITEMS_MAX,
  newestVersion,
  sizeProblem,
  withVersion,
  type ContentRef,
  type Grant,
  type Item,
  type ItemKind,
  type StackItem,
} from "../../model/item.ts";
import type { IngressFile, IngressRule } from "../../model/ingress-rule.ts";
import { formatServiceName } from "../../model/names.ts";
import { revise } from "../../model/revise.ts";
import { currentRevision, specOf, type Service, type ServiceSpec } from "../../model/service.ts";
import type { StackSpec } from "../../model/stack.ts";
import { isTerminal } from "../../model/task.ts";
import type { View } from "../../model/view.ts";

/** A content that was sent, as much of it as deciding needs. */
export interface NewContent {
  sizeBytes: number;
  digest: string;
  /** What is wrong with it as a template, in words that follow it; undefined for nothing. */
  templateProblem(): string | undefined;
  /** Seals it for one version of one item. */
  seal(contentId: string): string;
}

export interface ItemOptions {
  /** What was sent under this id; undefined when the server does not have it any more. */
  upload(id: string): NewContent | undefined;
  /** Milliseconds since 1970. */
  now: number;
  random: Random;
}

export interface ItemsPlan {
  changes: Change[];
  /** Why nothing may be changed, one sentence each. */
  problems: string[];
  /** The services, each of their grants with the version that it gets. */
  services: Record<string, ServiceSpec>;
  /** The stack's own items, as its file has them now. */
  own: ItemId[];
}

/** What `up` makes of the secrets and configs of a stack. An unchanged content changes nothing. */
export function planItems(
  view: View,
  stack: string,
  spec: StackSpec,
  options: ItemOptions,
): ItemsPlan {
  const plan: ItemsPlan = { changes: [], problems: [], services: {}, own: [] };
  const found = new Map<string, Item>();
  for (const declared of spec.items ?? []) {
    const key = itemKeyOf(declared.kind, declared.name);
    if (found.has(key)) {
      plan.problems.push(`the stack declares ${formatItem(declared)} twice`);
      continue;
    }
    const item = declared.external
      ? externalItem(plan, view, declared)
      : ownItem(plan, view, { stack, declared }, options);
    if (item === undefined) continue;
    found.set(key, item);
    if (!declared.external) plan.own.push(item.id);
  }
  plan.own.sort();
  plan.services = Object.fromEntries(
    Object.entries(spec.services).map(([name, service]) => {
      return [name, withContents(plan, formatServiceName(stack, name), service, found)];
    }),
  );
  if (plan.changes.length > 0) plan.problems.push(...roomProblems(view, plan.changes));
  if (plan.problems.length > 0) plan.changes = [];
  return plan;
}

function externalItem(plan: ItemsPlan, view: View, declared: StackItem): Item | undefined {
  const item = view.itemNamed(declared.kind, declared.name);
  if (item === undefined) {
    const make = `make it with \`orchd ${declared.kind} create ${declared.name} FILE\``;
    plan.problems.push(`${formatItem(declared)} is external, and there is none: ${make}`);
  }
  return item;
}

function ownItem(
  plan: ItemsPlan,
  view: View,
  { stack, declared }: { stack: string; declared: StackItem },
  options: ItemOptions,
): Item | undefined {
  const refuse = (problem: string) => void plan.problems.push(problem);
  const { kind, name, labels, isTemplate, upload } = declared;
  const before = view.itemNamed(kind, name);
  if (before !== undefined && before.stack !== stack) {
    const owner = before.stack === undefined ? "of no stack" : `of stack ${before.stack}`;
    const advice = "say external: true to use it, or give yours another name";
    refuse(`there is a ${formatItem(declared)} ${owner} already: ${advice}`);
    return undefined;
  }
  const content = upload === undefined ? undefined : options.upload(upload);
  if (content === undefined) {
    refuse(`the content of ${formatItem(declared)} did not arrive: try again`);
    return undefined;
  }
  const problem = contentProblem({ kind, isTemplate }, content);
  if (problem !== undefined) {
    refuse(`${formatItem(declared)}: ${problem}`);
    return undefined;
  }
  const known = before ?? newItem(stack, { kind, name, labels, isTemplate }, options);
  const described = { ...known, labels, isTemplate };
  const item = withContent(plan.changes, described, content, options.now);
  if (!equalJson(item, before) && !plan.changes.some((change) => isPutOf(change, item))) {
    plan.changes.push(put.item(item));
  }
  return item;
}

/** Why a content can't be one of the item's, in one sentence without its full stop. */
function contentProblem(
  { kind, isTemplate }: Pick<Item, "kind" | "isTemplate">,
  content: NewContent,
): string | undefined {
  const problem = isTemplate ? content.templateProblem() : undefined;
  const fault = problem && `its content is a template that ${problem}`;
  return sizeProblem(kind, content.sizeBytes) ?? fault;
}

function isPutOf(change: Change, item: Item): boolean {
  return change.kind === "item" && change.op === "put" && change.value.id === item.id;
}

/** An item that has no version yet: the first content makes it one. */
function newItem(
  stack: string | undefined,
  { kind, name, labels, isTemplate }: Pick<Item, "kind" | "name" | "labels" | "isTemplate">,
  { now, random }: ItemOptions,
): Item {
  return {
    id: newId<"item">(random.split(`${kind}/${name}/${now}`)),
    kind,
    name,
    ...(stack === undefined ? {} : { stack }),
    labels,
    isTemplate,
    createdAt: now,
    versions: [],
    version: 0,
  };
}

/** The item with this content as its newest version; the same one where it has it already. */
function withContent(changes: Change[], item: Item, content: NewContent, now: number): Item {
  const { digest, sizeBytes } = content;
  if (item.versions[0]?.digest === digest) return item;
  const version = { at: now, sizeBytes, digest };
  const next =
    item.versions.length === 0
      ? { ...item, versions: [{ number: 1, ...version }] }
      : withVersion(item, version);
  const id = contentIdOf({ id: next.id, number: newestVersion(next).number });
  changes.push(put.item(next), put.content({ id, sealed: content.seal(id), version: 0 }));
  return next;
}

/** The spec with the newest version of what each grant names. */
function withContents(
  plan: ItemsPlan,
  service: string,
  spec: ServiceSpec,
  found: ReadonlyMap<string, Item>,
): ServiceSpec {
  return withItems(spec, (share) => {
    const item = found.get(itemKeyOf(share.kind, share.name));
    // What is wrong with one that is declared has been told.
    if (item === undefined && plan.problems.length === 0) {
      plan.problems.push(`service ${service} uses ${formatItem(share)}, which is not declared`);
    }
    return item;
  });
}

/** A share in an item: what tasks read, or what a host of the ingress is proved by. */
type Share = Pick<Grant, "kind" | "name" | "content">;

/** The spec with the newest version of each item that is found; the others stay as they are. */
function withItems(spec: ServiceSpec, find: (share: Share) => Item | undefined): ServiceSpec {
  const { container, ingress } = spec;
  const { grants } = container;
  const fileOf = (file: IngressFile): IngressFile => {
    const item = find(file);
    return item === undefined ? file : { ...file, content: newestOf(item) };
  };
  const filled = grants?.map((grant): Grant => {
    const item = find(grant);
    return item === undefined ? grant : grantOf(grant, item);
  });
  const rules = ingress?.map((rule): IngressRule => {
    const { files } = rule;
    if (files === undefined) return rule;
    return { ...rule, files: { certificate: fileOf(files.certificate), key: fileOf(files.key) } };
  });
  return {
    ...spec,
    ...(filled === undefined ? {} : { container: { ...container, grants: filled } }),
    ...(rules === undefined ? {} : { ingress: rules }),
  };
}

function grantOf(grant: Grant, item: Item): Grant {
  const { content: _, isTemplate: __, ...rest } = grant;
  return { ...rest, content: newestOf(item), ...(item.isTemplate ? { isTemplate: true } : {}) };
}

function newestOf(item: Item): ContentRef {
  return { id: item.id, number: newestVersion(item).number };
}

function roomProblems(view: View, changes: readonly Change[]): string[] {
  const items = new Map(view.items);
  for (const change of changes) {
    if (change.kind === "item" && change.op === "put") items.set(change.value.id, change.value);
  }
  const sizes = [...items.values()].flatMap(({ versions }) => versions.map((v) => v.sizeBytes));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const problems: string[] = [];
  if (items.size > ITEMS_MAX)
    problems.push(`a cluster has at most ${ITEMS_MAX} secrets and configs`);
  if (bytes > CONTENTS_BYTES_MAX) {
    const max = `${CONTENTS_BYTES_MAX / 1024 / 1024} MiB`;
    problems.push(
      `the secrets and configs of a cluster take at most ${max}, old versions included`,
    );
  }
  return problems;
}

export interface ItemChange {
  changes: Change[];
  problems: string[];
  item: Item;
  changed: boolean;
  /** `shop/web`: services that get new tasks for it. */
  services: string[];
}

/** A new item that belongs to no stack. */
export function planItemCreate(
  view: View,
  described: Pick<Item, "kind" | "name" | "labels" | "isTemplate">,
  content: NewContent,
  options: ItemOptions,
): ItemChange {
  const { kind } = described;
  const plan: ItemChange = {
    changes: [],
    problems: [],
    item: newItem(undefined, described, options),
    changed: true,
    services: [],
  };
  const taken = view.itemNamed(kind, described.name);
  if (taken !== undefined) {
    const update = `\`orchd ${kind} update ${described.name} FILE\` gives it a new content`;
    plan.problems.push(`${formatItem(described)} is there already: ${update}`);
  }
  return withNewContent(plan, view, content, options.now);
}

/** A new content for an item: every service that uses it gets a revision with the new version. */
export function planItemUpdate(
  view: View,
  item: Item,
  content: NewContent,
  now: number,
): ItemChange {
  const plan: ItemChange = { changes: [], problems: [], item, changed: true, services: [] };
  withNewContent(plan, view, content, now);
  plan.changed = plan.changes.length > 0;
  if (!plan.changed || plan.problems.length > 0) return plan;
  for (const service of sortedBy(view.services.values(), ({ id }) => id)) {
    const spec = specOf(service);
    const isOf = ({ content }: Share) => content?.id === item.id;
    if (service.removing || !sharesIn(spec).some(isOf)) continue;
    const wanted = withItems(spec, (share) => (isOf(share) ? plan.item : undefined));
    plan.changes.push(put.service(revise(service, wanted, now, view.tasksOf(service.id))));
    plan.services.push(formatServiceName(service.stack, service.name));
  }
  return plan;
}

function withNewContent(
  plan: ItemChange,
  view: View,
  content: NewContent,
  now: number,
): ItemChange {
  const problem = contentProblem(plan.item, content);
  if (problem !== undefined) plan.problems.push(problem);
  else plan.item = withContent(plan.changes, plan.item, content, now);
  plan.problems.push(...roomProblems(view, plan.changes));
  if (plan.problems.length > 0) plan.changes = [];
  return plan;
}

/** The services that use an item now: by their newest revision, or by a task that is there. */
export function usersOf(view: View, id: ItemId): string[] {
  const users = [...view.services.values()].filter((service) => uses(view, service, id));
  return users.map(({ stack, name }) => formatServiceName(stack, name)).sort();
}

function uses(view: View, service: Service, id: ItemId): boolean {
  const inForce = new Set([currentRevision(service).revision, service.rollout?.from]);
  for (const task of view.tasksOf(service.id)) {
    if (!isTerminal(task.state)) inForce.add(task.revision);
  }
  return service.revisions.some(({ revision, spec }) => {
    return inForce.has(revision) && sharesIn(spec).some(({ content }) => content?.id === id);
  });
}

function sharesIn({ container, ingress = [] }: ServiceSpec): Share[] {
  const files = ingress.flatMap((rule) => rule.files ?? []);
  return [
    ...(container.grants ?? []),
    ...files.flatMap(({ certificate, key }) => [certificate, key]),
  ];
}

/** The writes that remove an item with all of its contents. */
export function removalOf(view: View, item: Item): Change[] {
  return [remove.item(item), ...contentRemovals(view, item, () => false)];
}

function contentRemovals(view: View, item: Item, keeps: (number: number) => boolean): Change[] {
  return item.versions.flatMap(({ number }) => {
    const content = view.contents.get(contentIdOf({ id: item.id, number }));
    return keeps(number) || content === undefined ? [] : [remove.content(content)];
  });
}

/**
 * What nobody needs any more: versions that no kept revision uses and that are not the newest, and
 * items that the file of their stack has not any more.
 */
export function planItemCollection(view: View): Change[] {
  const used = contentsInUse(view);
  return sortedBy(view.items.values(), ({ id }) => id).flatMap((item) => {
    const isUsed = (number: number) => used.has(contentIdOf({ id: item.id, number }));
    const isDeclared = item.stack === undefined || isDeclaredBy(view, item.stack, item.id);
    if (!isDeclared && !item.versions.some(({ number }) => isUsed(number))) {
      return removalOf(view, item);
    }
    const newest = newestVersion(item).number;
    const keeps = (number: number) => number === newest || isUsed(number);
    const versions = item.versions.filter(({ number }) => keeps(number));
    if (versions.length === item.versions.length) return [];
    return [put.item({ ...item, versions }), ...contentRemovals(view, item, keeps)];
  });
}

function contentsInUse(view: View): ReadonlySet<string> {
  const used = new Set<string>();
  for (const service of view.services.values()) {
    for (const { spec } of service.revisions) {
      for (const { content } of sharesIn(spec)) {
        if (content !== undefined) used.add(contentIdOf(content));
      }
    }
  }
  return used;
}

function isDeclaredBy(view: View, stack: string, id: ItemId): boolean {
  return view.stacks.get(stack)?.items?.includes(id) === true;
}

/**
 * The writes that take a stack's items along when it ends. One that a service of another stack uses
 * stays, and belongs to the cluster from then on.
 */
export function leaveItems(view: View, stack: string): Change[] {
  const own = [...view.items.values()].filter((item) => item.stack === stack);
  return own.flatMap((item) => {
    if (usersOf(view, item.id).length === 0) return removalOf(view, item);
    const { stack: _, ...rest } = item;
    return [put.item(rest)];
  });
}

/** For people: `secret shop_db 1 -> 2`; empty where the grants differ otherwise. */
export function describeGrants(before: readonly Grant[], after: readonly Grant[]): string[] {
  return after.flatMap((grant) => {
    const old = before.find(({ kind, target }) => kind === grant.kind && target === grant.target);
    const [from, to] = [old?.content, grant.content];
    if (from?.id !== to?.id || from === undefined || from.number === to?.number) return [];
    return [`${formatItem(grant)} ${from.number} -> ${to?.number ?? "?"}`];
  });
}

/** What an item is called that is asked for; undefined when there is none. */
export function findItem(view: View, kind: ItemKind, name: string): Item | undefined {
  const named = view.itemNamed(kind, name);
  if (named !== undefined) return named;
  return [...view.items.values()].find((item) => item.kind === kind && item.id === name);
}
