import type { Clock } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { Random } from "../../lib/random.ts";
import {
  findItem,
  planItemCreate,
  planItemUpdate,
  removalOf,
  usersOf,
  type NewContent,
} from "../../core/reconcile/items.ts";
import { formatItem, newestVersion, type ItemKind, type ItemRequest } from "../../model/item.ts";
import type { Item } from "../../model/item.ts";
import type { StackSpec } from "../../model/stack.ts";
import type { View } from "../../model/view.ts";
import type { Store } from "../../store/store.ts";
import { commitFresh } from "../commit-fresh.ts";
import { refuseMisfits } from "../ingress-files.ts";
import { Uploads } from "./uploads.ts";
import type { Vault } from "./vault.ts";

export interface ItemsOptions {
  store: Store;
  clock: Clock;
  random: Random;
  vault: Vault;
}

/** What people do with secrets and configs, each as one commit. */
export class Items {
  readonly #options: ItemsOptions;
  readonly #uploads: Uploads;

  constructor(options: ItemsOptions) {
    this.#options = options;
    this.#uploads = new Uploads(options.clock, options.random);
  }

  /**
   * Keeps a content until it is used; answers the id to use it by.
   * @throws OrchdError `locked`, `tooLarge`
   */
  upload(bytes: Uint8Array): string {
    // Whoever sends what could not be sealed is told at once.
    this.#options.vault.newContent(bytes);
    return this.#uploads.add(bytes);
  }

  /** What was sent under this id, for a plan; undefined when it is not there any more. */
  uploaded(id: string): NewContent | undefined {
    const bytes = this.#uploads.get(id);
    return bytes === undefined ? undefined : this.#options.vault.newContent(bytes);
  }

  /** The stack has been applied: what was sent for it is in the store. */
  forget({ items = [] }: StackSpec): void {
    for (const { upload } of items) if (upload !== undefined) this.#uploads.drop(upload);
  }

  /** @throws OrchdError `conflict` when the name is taken, `invalid`, `notFound`, `locked` */
  async create(kind: ItemKind, { upload, ...described }: ItemRequest): Promise<void> {
    const { store } = this.#options;
    await commitFresh(store, (view) => {
      const content = this.#required(upload);
      const plan = planItemCreate(view, { kind, ...described }, content, this.#planning());
      if (plan.problems.length > 0) throw refusal(view, plan.item, plan.problems);
      return plan.changes;
    });
    this.#uploads.drop(upload);
  }

  /**
   * Gives an item a new content; services that use it get new tasks, each by its own update order.
   * @returns whether it is another content, and those services
   * @throws OrchdError `notFound`, `invalid`, `locked`
   */
  async update(
    kind: ItemKind,
    name: string,
    upload: string,
  ): Promise<{ changed: boolean; services: string[] }> {
    const { store, clock } = this.#options;
    let result = { changed: false, services: [] as string[] };
    await commitFresh(store, (view) => {
      const item = itemIn(view, kind, name);
      const plan = planItemUpdate(view, item, this.#required(upload), clock.now());
      if (plan.problems.length > 0) throw new OrchdError("invalid", plan.problems.join("; "));
      refuseMisfits(view, plan.changes, (one) => this.#options.vault.open(one), clock.now());
      result = { changed: plan.changed, services: plan.services };
      return plan.changes;
    });
    this.#uploads.drop(upload);
    return result;
  }

  /** @throws OrchdError `notFound`, or `conflict` while services use it */
  async remove(kind: ItemKind, name: string): Promise<void> {
    await commitFresh(this.#options.store, (view) => {
      const item = itemIn(view, kind, name);
      const users = usersOf(view, item.id);
      if (users.length === 0) return removalOf(view, item);
      const message = `${formatItem(item)} is used by ${users.join(", ")}`;
      throw new OrchdError("conflict", `${message}: remove those first, or change their files`);
    });
  }

  /**
   * What a version of a config holds, the newest where none is named.
   * @throws OrchdError `notFound`, `locked`
   */
  configContent(name: string, number: number | undefined): Uint8Array {
    const { store, vault } = this.#options;
    const view = store.view();
    const item = itemIn(view, "config", name);
    const wanted = number ?? newestVersion(item).number;
    const bytes = vault.contentOf(view, { id: item.id, number: wanted });
    if (bytes !== undefined) return bytes;
    throw new OrchdError("notFound", `${formatItem(item)} has no version ${wanted}`);
  }

  /**
   * What the newest version of a secret or config holds: for bundles, which seal secrets.
   * @throws OrchdError `notFound`, `locked`
   */
  newestContent(kind: ItemKind, name: string): Uint8Array {
    const { store, vault } = this.#options;
    const view = store.view();
    const item = itemIn(view, kind, name);
    const bytes = vault.contentOf(view, { id: item.id, number: newestVersion(item).number });
    if (bytes !== undefined) return bytes;
    throw new OrchdError("notFound", `${formatItem(item)} has no content`);
  }

  close(): void {
    this.#uploads.close();
  }

  #required(upload: string): NewContent {
    const content = this.uploaded(upload);
    if (content !== undefined) return content;
    throw new OrchdError("notFound", "what was sent is not there any more: try again");
  }

  #planning() {
    const { clock, random } = this.#options;
    return { now: clock.now(), random, upload: (id: string) => this.uploaded(id) };
  }
}

function refusal(view: View, { kind, name }: Item, problems: readonly string[]): OrchdError {
  const code = view.itemNamed(kind, name) === undefined ? "invalid" : "conflict";
  return new OrchdError(code, problems.join("; "));
}

function itemIn(view: View, kind: ItemKind, name: string): Item {
  const item = findItem(view, kind, name);
  if (item !== undefined) return item;
  throw new OrchdError("notFound", `there is no ${kind} ${name}: see \`orchd ${kind} ls\``);
}
