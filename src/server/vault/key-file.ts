import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { OrchdError, systemCodeOf } from "../../lib/errors.ts";
import { KEY_BYTES, newSealKey } from "../../pki/seal.ts";

const NAME = "vault.key";

/**
 * The key beside the store that opens the vault by itself. A new one is written under another name
 * and takes its place when the store goes by it: a crash in between leaves both, and one fits.
 */
export class KeyFile {
  readonly #path: string;

  /** @param dataDir where the store is */
  constructor(dataDir: string) {
    this.#path = join(dataDir, NAME);
  }

  get path(): string {
    return this.#path;
  }

  /** The keys that are there, in the order in which they are to be tried. */
  read(): { key: Uint8Array; isInPlace: boolean }[] {
    return [this.#path, this.#draft].flatMap((path) => {
      const key = readKey(path);
      return key === undefined ? [] : [{ key, isInPlace: path === this.#path }];
    });
  }

  /** Makes a new key that is on the disk, but not yet the one in place. */
  prepare(): Uint8Array {
    const key = newSealKey();
    const draft = this.#draft;
    fs.rmSync(draft, { force: true });
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
    const descriptor = fs.openSync(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      fs.writeSync(descriptor, `${Buffer.from(key).toString("base64")}\n`);
      fs.fsyncSync(descriptor);
    } catch (cause) {
      throw new OrchdError("noSpace", `the key file ${draft} can't be written`, { cause });
    } finally {
      fs.closeSync(descriptor);
    }
    syncDirectory(dirname(draft));
    return key;
  }

  /** Puts the key that was prepared, if there is one, in place. */
  settle(): void {
    if (!fs.existsSync(this.#draft)) return;
    fs.renameSync(this.#draft, this.#path);
    syncDirectory(dirname(this.#path));
  }

  /** Forgets a key that was prepared. */
  discard(): void {
    fs.rmSync(this.#draft, { force: true });
  }

  /** Removes every key. */
  remove(): void {
    this.discard();
    fs.rmSync(this.#path, { force: true });
    syncDirectory(dirname(this.#path));
  }

  get #draft(): string {
    return `${this.#path}.new`;
  }
}

/** Undefined where there is none, or what is there is no key. */
function readKey(path: string): Uint8Array | undefined {
  let descriptor: number | undefined;
  try {
    descriptor = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
    const { mode } = fs.fstatSync(descriptor);
    if ((mode & 0o077) !== 0) fs.fchmodSync(descriptor, 0o600);
    const buffer = Buffer.alloc(256);
    const text = buffer.toString("latin1", 0, fs.readSync(descriptor, buffer)).trim();
    const key = Buffer.from(text, "base64");
    return key.length === KEY_BYTES ? new Uint8Array(key) : undefined;
  } catch (error) {
    // Not there, or a link that somebody put there: the vault stays locked and says so.
    if (systemCodeOf(error) === undefined) throw error;
    return undefined;
  } finally {
    if (descriptor !== undefined) fs.closeSync(descriptor);
  }
}

function syncDirectory(path: string): void {
  const descriptor = fs.openSync(path, "r");
  try {
    fs.fsyncSync(descriptor);
  } finally {
    fs.closeSync(descriptor);
  }
}
