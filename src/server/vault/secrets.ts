import type { ApiDeps } from "../../api/deps.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { Random } from "../../lib/random.ts";
import { planItemCollection, type NewContent } from "../../core/reconcile/items.ts";
import type { Applied } from "../../model/change.ts";
import type { NodeId } from "../../model/ids.ts";
import type { Content, ContentRef } from "../../model/item.ts";
import type { HostCertificatesAnswer, HostCertificatesRequest } from "../../model/join.ts";
import type { AgentSession } from "../../model/session.ts";
import type { Store } from "../../store/store.ts";
import { commitFresh } from "../commit-fresh.ts";
import { Controller } from "../controller.ts";
import { certifyHosts } from "../host-certificates.ts";
import { Courier } from "./courier.ts";
import { Items } from "./items.ts";
import { Vault } from "./vault.ts";

export interface SecretsOptions {
  store: Store;
  clock: Clock;
  random: Random;
  log: Log;
  /** Where the store is, and the key file beside it. */
  dataDir: string;
  /** The agent of a node, while it is connected. */
  session(nodeId: NodeId): AgentSession | undefined;
}

/** All of secrets and configs on the server: sealed, changed, collected, brought to nodes. */
export class Secrets {
  readonly items: Items;
  readonly courier: Courier;
  readonly #options: SecretsOptions;
  readonly #vault: Vault;
  readonly #collector: Controller<"unused contents">;
  readonly #unwatch: () => void;

  private constructor(options: SecretsOptions, vault: Vault) {
    const { store, clock, log } = options;
    this.#options = options;
    this.#vault = vault;
    this.items = new Items({ ...options, vault });
    this.courier = new Courier({ ...options, vault });
    this.#collector = new Controller({
      name: "collection of",
      clock,
      log,
      work: async () => {
        if (store.view().items.size > 0) await commitFresh(store, planItemCollection);
        return {};
      },
    });
    this.#unwatch = store.watch(({ applied }) => {
      if (store.view().items.size > 0 && applied.some(endsAUse)) this.#collect();
    });
    this.#collect();
  }

  /** Opens the vault by its key file; where a passphrase opens it, it stays locked. */
  static async open(options: SecretsOptions): Promise<Secrets> {
    return new Secrets(options, await Vault.open(options));
  }

  /** What was sent under this id; undefined when it is not there any more. */
  uploaded(id: string): NewContent | undefined {
    return this.items.uploaded(id);
  }

  /** What was sealed, also before it is in the store; undefined while secrets are locked. */
  openContent(content: Content): Uint8Array | undefined {
    return this.#vault.isUnlocked ? this.#vault.open(content) : undefined;
  }

  /** Certificates for hosts of the ingress; of some of them people gave them as secrets. */
  certifyHosts(request: HostCertificatesRequest): Promise<HostCertificatesAnswer> {
    const { store, clock } = this.#options;
    const contentOf = (ref: ContentRef) =>
      this.#vault.isUnlocked ? this.#vault.contentOf(store.view(), ref) : undefined;
    return certifyHosts({ store, clock, contentOf }, request);
  }

  /** What the API does with them. */
  forPeople(): ApiDeps["secrets"] {
    const { items } = this;
    const vault = this.#vault;
    return {
      upload: (bytes) => items.upload(bytes),
      create: (kind, request) => items.create(kind, request),
      update: (kind, name, upload) => items.update(kind, name, upload),
      remove: (kind, name) => items.remove(kind, name),
      configContent: (name, number) => items.configContent(name, number),
      status: () => vault.status(),
      unlock: (passphrase) => vault.unlock(passphrase),
      rotateKey: () => vault.rotateKey(),
      protect: (passphrase) => vault.protect(passphrase),
      reset: () => vault.reset(),
    };
  }

  close(): void {
    this.#unwatch();
    this.#collector.close();
    this.courier.close();
    this.items.close();
  }

  #collect(): void {
    this.#collector.touch("unused contents");
  }
}

/** Whether revisions, or what a stack declares, may have gone with this write. */
function endsAUse(applied: Applied): boolean {
  if (applied.kind === "service") {
    return applied.before !== undefined && applied.before.revisions !== applied.after?.revisions;
  }
  if (applied.kind === "stack") return applied.before?.items !== applied.after?.items;
  return applied.kind === "item" && applied.after !== undefined;
}
