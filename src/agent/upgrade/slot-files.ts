import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { OrchdError, systemCodeOf } from "../../lib/errors.ts";
import { equalJson } from "../../lib/order.ts";
import type { Installed, Place, Slot, SlotContent, Slots } from "../../model/slots.ts";
import { slotSchema, slotsSchema } from "../../model/slots.ts";
import { SLOTS_FILE } from "../../model/slots-file.ts";
import { writeWhole } from "./write-whole.ts";

const CONFIRMED = "confirmed";
const STATE_BYTES_MAX = 64 * 1024;
/** Nobody but the owner may write what runs as the owner. */
const WRITABLE_BY_OTHERS = 0o022;

/** The two slots of a data directory, and what is written down of them: `bin/` in it. */
export class SlotFiles {
  readonly #dir: string;
  readonly #state: string;

  constructor(dataDir: string) {
    this.#state = join(dataDir, SLOTS_FILE);
    this.#dir = dirname(this.#state);
  }

  pathOf(slot: Slot): string {
    return join(this.#dir, slot);
  }

  /** Where something else may be kept as long as a trial lasts. */
  pathBeside(name: string): string {
    return join(this.#dir, name);
  }

  /**
   * What is written down; undefined where nothing is.
   * @throws OrchdError `damaged` when it makes no sense, `forbidden` when others could change it
   */
  read(): Slots | undefined {
    const path = this.#state;
    let text: string;
    try {
      requireOurs(this.#dir);
      const { size } = requireOurs(path);
      text = size > STATE_BYTES_MAX ? "" : fs.readFileSync(path, "utf8");
    } catch (error) {
      if (systemCodeOf(error) === "ENOENT") return undefined;
      throw error;
    }
    try {
      return slotsSchema.parse(JSON.parse(text));
    } catch {
      throw new OrchdError("damaged", `${path} makes no sense`);
    }
  }

  /** Durable when it returns. */
  write(slots: Slots): void {
    this.#make();
    writeWhole(this.#state, (file) => {
      fs.writeSync(file, `${JSON.stringify(slots, undefined, 2)}\n`);
    });
  }

  /** Which slots have, as far as a look tells, what is written down of them. */
  whole(slots: Slots): Set<Place> {
    return new Set(slotSchema.options.filter((slot) => this.#isWhole(slot, slots[slot])));
  }

  /** Which of the executables is at this path; `other` is one that people put there meanwhile. */
  placeOf({ installed }: Slots, path: string): Place | "other" {
    for (const slot of slotSchema.options) {
      const own = this.pathOf(slot);
      if (fs.existsSync(own) && fs.realpathSync(own) === path) return slot;
    }
    if (path !== installed.path || !fs.existsSync(path)) return "other";
    return equalJson(installedAt(path), installed) ? "installed" : "other";
  }

  /** @throws OrchdError `damaged` when the executable in the slot is another one */
  verify(slot: Slot, content: SlotContent): void {
    const hash = createHash("sha256");
    const file = fs.openSync(this.pathOf(slot), "r");
    try {
      const piece = new Uint8Array(1024 * 1024);
      for (;;) {
        const bytes = fs.readSync(file, piece, 0, piece.length, null);
        if (bytes === 0) break;
        hash.update(piece.subarray(0, bytes));
      }
    } finally {
      fs.closeSync(file);
    }
    if (`sha256:${hash.digest("hex")}` === content.digest) return;
    throw new OrchdError("damaged", "its executable was altered on the disk");
  }

  /** Puts an executable in a slot. Nothing of one that is cut off stays. */
  async fill(slot: Slot, content: SlotContent, source: AsyncIterable<Uint8Array>): Promise<void> {
    this.#make();
    const draft = `${this.pathOf(slot)}.new`;
    fs.rmSync(draft, { force: true });
    const file = await fs.promises.open(draft, "wx", 0o700);
    const hash = createHash("sha256");
    try {
      for await (const piece of source) {
        hash.update(piece);
        await file.writeFile(piece);
      }
      await file.sync();
      if (`sha256:${hash.digest("hex")}` !== content.digest) {
        throw new OrchdError("damaged", "what came is not the executable that was ordered");
      }
      fs.renameSync(draft, this.pathOf(slot));
    } catch (error) {
      fs.rmSync(draft, { force: true });
      throw error;
    } finally {
      await file.close();
    }
  }

  /** Says that the trial with this id is back in membership. */
  confirm(trial: string): void {
    writeWhole(join(this.#dir, CONFIRMED), (file) => fs.writeSync(file, trial));
  }

  isConfirmed(trial: string): boolean {
    try {
      return fs.readFileSync(join(this.#dir, CONFIRMED), "utf8") === trial;
    } catch {
      // Not there, or not yet.
      return false;
    }
  }

  /** Forgets the word of an earlier trial. */
  unconfirm(): void {
    fs.rmSync(join(this.#dir, CONFIRMED), { force: true });
  }

  #isWhole(slot: Slot, content: SlotContent | undefined): boolean {
    if (content === undefined) return false;
    try {
      const found = requireOurs(this.pathOf(slot));
      return found.isFile() && found.size === content.sizeBytes && (found.mode & 0o100) !== 0;
    } catch {
      // Gone, or not to be trusted: either way it is not run.
      return false;
    }
  }

  #make(): void {
    fs.mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
  }
}

/** Where the executable of this process is. */
export function ownExecutable(): string {
  return fs.readlinkSync("/proc/self/exe");
}

/** What a file is now, to be told from another one in its place. */
export function installedAt(path: string): Installed {
  const { size, mtimeMs } = fs.statSync(path);
  return { path, sizeBytes: size, modifiedAt: Math.floor(mtimeMs) };
}

/** @throws OrchdError `forbidden` when others than this user and root could have changed it */
function requireOurs(path: string): fs.Stats {
  const found = fs.lstatSync(path);
  const isOwn = found.uid === 0 || found.uid === process.getuid?.();
  if (isOwn && !found.isSymbolicLink() && (found.mode & WRITABLE_BY_OTHERS) === 0) return found;
  throw new OrchdError("forbidden", `${path} can be changed by others: nothing of it is run`);
}
