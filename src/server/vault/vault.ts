import type { Clock } from "../../lib/clock.ts";
import { OrchdError } from "../../lib/errors.ts";
import type { Log } from "../../lib/log.ts";
import { put, type Change } from "../../model/change.ts";
import { removalOf, type NewContent } from "../../core/reconcile/items.ts";
import { contentIdOf, type Content, type ContentRef, type Item } from "../../model/item.ts";
import {
  VAULT_ID,
  type Protection,
  type Vault as VaultObject,
  type VaultStatus,
} from "../../model/vault.ts";
import { contentTemplateProblem } from "../../model/template.ts";
import type { View } from "../../model/view.ts";
import {
  derivedKey,
  keyedDigest,
  keyFromPassphrase,
  newSalt,
  newSealKey,
  open,
  SCRYPT,
  seal,
} from "../../pki/seal.ts";
import type { Store } from "../../store/store.ts";
import { commitFresh } from "../commit-fresh.ts";
import { KeyFile } from "./key-file.ts";

export interface VaultOptions {
  store: Store;
  clock: Clock;
  log: Log;
  /** Where the store is, and the key file beside it. */
  dataDir: string;
}

/** The keys that one data key gives. */
interface Keys {
  /** Opens the data key in the store: from the key file, or from the passphrase. */
  outer: Uint8Array;
  contents: Uint8Array;
  digests: Uint8Array;
}

/**
 * Seals the contents of secrets and configs in the store with a data key, which is itself sealed
 * there with a key from a file or a passphrase. While it is locked nothing can be sealed or opened;
 * everything else of the server works.
 */
export class Vault {
  readonly #options: VaultOptions;
  readonly #file: KeyFile;
  /** By the number of the data key: during a change of it there are two. */
  readonly #keys = new Map<number, Keys>();
  readonly #listeners = new Set<() => void>();
  #reason = "";
  /** Guesses, and changes of keys, are made one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(options: VaultOptions) {
    this.#options = options;
    this.#file = new KeyFile(options.dataDir);
  }

  /** Opens the vault by its key file, or leaves it locked; makes one where there is none yet. */
  static async open(options: VaultOptions): Promise<Vault> {
    const vault = new Vault(options);
    if (options.store.view().vault === undefined) await vault.#make();
    else vault.#openByFile();
    if (vault.#reason !== "") options.log.warn(`secrets are locked: ${vault.#reason}`);
    return vault;
  }

  get isUnlocked(): boolean {
    return this.#current() !== undefined;
  }

  status(): VaultStatus {
    const { protection, keyAt } = this.#object();
    return {
      state: this.isUnlocked ? "unlocked" : "locked",
      reason: this.isUnlocked ? "" : this.#reason,
      protectedBy: protection.by,
      keyAt,
    };
  }

  /** Calls `run` when the vault has been unlocked. */
  onUnlock(run: () => void): void {
    this.#listeners.add(run);
  }

  /**
   * Opens the vault with the passphrase, or reads the key file again.
   * @throws OrchdError `forbidden` for a wrong one, `invalid` where the other way is asked for
   */
  unlock(passphrase: string | undefined): Promise<void> {
    return this.#inTurn(async () => {
      if (this.isUnlocked) return;
      const { protection } = this.#object();
      if (protection.by === "keyFile") {
        if (passphrase !== undefined) {
          const message = `a key file opens the secrets, and no passphrase: ${this.#reason}`;
          throw new OrchdError("invalid", message);
        }
        if (!this.#openByFile()) throw new OrchdError("forbidden", this.#reason);
      } else {
        if (passphrase === undefined) throw new OrchdError("invalid", "give the passphrase");
        const outer = await outerKeyOf(passphrase, protection);
        if (!this.#use(this.#object(), outer)) {
          throw new OrchdError("forbidden", "the passphrase is not the right one");
        }
      }
      this.#options.log.info("secrets are unlocked");
      for (const run of this.#listeners) run();
    });
  }

  /** A new data key: every content is sealed anew, all of it in one commit. */
  rotateKey(): Promise<void> {
    return this.#inTurn(async () => {
      const { protection } = this.#object();
      await this.#reseal(protection, this.#required().outer);
    });
  }

  /**
   * From now on this passphrase opens the vault, or without one a new key file. The data key is
   * another one as well, so that what could be opened before is of no use for what comes.
   */
  protect(passphrase: string | undefined): Promise<void> {
    return this.#inTurn(async () => {
      this.#required();
      if (passphrase === undefined) return this.#protectByFile();
      const protection: Protection = { by: "passphrase", salt: newSalt(), ...SCRYPT };
      await this.#reseal(protection, await outerKeyOf(passphrase, protection));
      this.#file.remove();
      this.#options.log.info("secrets are locked at the next start, until `orchd unlock`");
    });
  }

  /**
   * Begins anew where nobody can open the vault any more: a new key, which a key file opens, and
   * every secret and config is gone. @throws OrchdError `conflict` for one that is not locked
   */
  reset(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.isUnlocked) {
        throw new OrchdError("conflict", "secrets are not locked: remove them one by one");
      }
      const outer = outerKeyFrom(this.#file.prepare());
      const data = newSealKey();
      await commitFresh(this.#options.store, (view) => {
        const { version, keyNumber } = this.#object();
        const object = this.#objectWith(keyNumber + 1, data, { by: "keyFile" }, outer);
        const items = [...view.items.values()];
        return [put.vault({ ...object, version }), ...items.flatMap((one) => removalOf(view, one))];
      });
      this.#file.settle();
      this.#openByFile();
      this.#options.log.warn("secrets begin anew: all that there were are gone");
      for (const run of this.#listeners) run();
    });
  }

  /**
   * What was sent, as planning needs it.
   * @throws OrchdError `locked`
   */
  newContent(bytes: Uint8Array): NewContent {
    const digest = keyedDigest(this.#required().digests, bytes);
    return {
      sizeBytes: bytes.length,
      digest,
      templateProblem: () => contentTemplateProblem(bytes),
      seal: (contentId) => seal(this.#required().contents, contentId, bytes),
    };
  }

  /**
   * The content of one version; undefined when it was removed.
   * @throws OrchdError `locked`, or `damaged` when it is not what was sealed
   */
  contentOf(view: View, ref: ContentRef): Uint8Array | undefined {
    const content = view.contents.get(contentIdOf(ref));
    return content && this.open(content);
  }

  /** What was sealed. @throws as `contentOf` */
  open(content: Content): Uint8Array {
    const bytes = open(this.#required().contents, content.id, content.sealed);
    if (bytes !== undefined) return bytes;
    throw new OrchdError("damaged", `the content ${content.id} in the store can't be opened`);
  }

  async #protectByFile(): Promise<void> {
    const outer = outerKeyFrom(this.#file.prepare());
    try {
      await this.#reseal({ by: "keyFile" }, outer);
    } catch (error) {
      this.#file.discard();
      throw error;
    }
    this.#file.settle();
  }

  async #make(): Promise<void> {
    const { store } = this.#options;
    // One that is there may belong to a copy of another store, which nothing else opens.
    const [known] = this.#file.read();
    const outer = outerKeyFrom(known?.key ?? this.#file.prepare());
    if (known?.isInPlace !== true) this.#file.settle();
    const object = this.#objectWith(1, newSealKey(), { by: "keyFile" }, outer);
    await commitFresh(store, (view) => {
      return view.vault === undefined ? [put.vault({ ...object, version: 0 })] : [];
    });
    if (!this.#use(this.#object(), outer)) this.#reason = "another server made their key";
  }

  #openByFile(): boolean {
    const object = this.#object();
    this.#reason = "a passphrase opens them: run `orchd unlock`";
    if (object.protection.by === "passphrase") return false;
    const keys = this.#file.read();
    const fitting = keys.find(({ key }) => this.#use(object, outerKeyFrom(key)));
    if (fitting === undefined) {
      const what = keys.length === 0 ? "is not there" : "is not the one of this store";
      const remedy = "put it in place and run `orchd unlock`";
      this.#reason = `the key file ${this.#file.path} ${what}: ${remedy}`;
      return false;
    }
    // A change of the key file that a crash cut off is brought to its end.
    if (fitting.isInPlace) this.#file.discard();
    else this.#file.settle();
    this.#reason = "";
    return true;
  }

  async #reseal(protection: Protection, outer: Uint8Array): Promise<void> {
    const { store } = this.#options;
    const data = newSealKey();
    let number = 0;
    try {
      await commitFresh(store, (view) => {
        const before = this.#required();
        number = this.#object().keyNumber + 1;
        const keys = keysOf(data, outer);
        this.#keys.set(number, keys);
        const { version } = this.#object();
        const object = { ...this.#objectWith(number, data, protection, outer), version };
        return [put.vault(object), ...resealed(view, before, keys)];
      });
    } catch (error) {
      this.#keys.delete(number);
      throw error;
    }
    for (const known of this.#keys.keys()) if (known !== number) this.#keys.delete(known);
  }

  #objectWith(
    keyNumber: number,
    data: Uint8Array,
    protection: Protection,
    outer: Uint8Array,
  ): Omit<VaultObject, "version"> {
    const sealedKey = seal(outer, purposeOf(keyNumber), data);
    const keyAt = this.#options.clock.now();
    return { id: VAULT_ID, keyNumber, sealedKey, protection, keyAt };
  }

  #opens({ keyNumber, sealedKey }: VaultObject, outer: Uint8Array): Uint8Array | undefined {
    return open(outer, purposeOf(keyNumber), sealedKey);
  }

  #use(object: VaultObject, outer: Uint8Array): boolean {
    const data = this.#opens(object, outer);
    if (data !== undefined) this.#keys.set(object.keyNumber, keysOf(data, outer));
    return data !== undefined;
  }

  /** The keys that fit what the view holds. */
  #current(): Keys | undefined {
    return this.#keys.get(this.#object().keyNumber);
  }

  #required(): Keys {
    const keys = this.#current();
    if (keys !== undefined) return keys;
    throw new OrchdError("locked", `secrets are locked: ${this.#reason}`);
  }

  #object(): VaultObject {
    const { vault } = this.#options.store.view();
    if (vault === undefined) throw new OrchdError("internal", "the store has no vault");
    return vault;
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(run, run);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}

function purposeOf(keyNumber: number): string {
  return `data key ${keyNumber}`;
}

function keysOf(data: Uint8Array, outer: Uint8Array): Keys {
  return { outer, contents: derivedKey(data, "contents"), digests: derivedKey(data, "digests") };
}

function outerKeyFrom(key: Uint8Array): Uint8Array {
  return derivedKey(key, "vault");
}

async function outerKeyOf(
  passphrase: string,
  protection: Extract<Protection, { by: "passphrase" }>,
): Promise<Uint8Array> {
  return outerKeyFrom(await keyFromPassphrase(passphrase, protection.salt, protection));
}

/** Every content under another key, and the digests that go with it. */
function resealed(view: View, before: Keys, after: Keys): Change[] {
  return [...view.items.values()].flatMap((item) => {
    const changes: Change[] = [];
    const versions = item.versions.map((version): Item["versions"][number] => {
      const id = contentIdOf({ id: item.id, number: version.number });
      const content = view.contents.get(id);
      const bytes = content && open(before.contents, id, content.sealed);
      if (content === undefined || bytes === undefined) {
        throw new OrchdError("damaged", `the content ${id} in the store can't be opened`);
      }
      changes.push(put.content({ ...content, sealed: seal(after.contents, id, bytes) }));
      return { ...version, digest: keyedDigest(after.digests, bytes) };
    });
    return [...changes, put.item({ ...item, versions })];
  });
}
