import { execFile } from "node:child_process";
import { statfsSync } from "node:fs";
import { promisify } from "node:util";
import { z } from "zod";
import { beginTrial, slotFor } from "../../core/upgrade/launch.ts";
import type { BuildMark } from "../../core/upgrade/build-mark.ts";
import { messageChainOf, OrchdError } from "../../lib/errors.ts";
import { formatBytes } from "../../lib/text.ts";
import type { Log } from "../../lib/log.ts";
import type { NodeFacts } from "../../model/node.ts";
import type { Place, Slot, Slots } from "../../model/slots.ts";
import { type UpgradeOrder, versionTextSchema } from "../../model/upgrade.ts";
import { installedAt, ownExecutable, SlotFiles } from "./slot-files.ts";

/** A new executable that has not told its version by then hangs. */
const VERSION_MS = 20_000;
const VERSION_BYTES_MAX = 4096;
/** So much of the disk stays free for everything else. */
const RESERVE_BYTES = 64 * 1024 * 1024;
const LOOK_AT_PARENT_MS = 1000;
/** The answer to the order is on its way first. */
const RESTART_AFTER_MS = 500;

/** Why a role ends by itself: to begin anew as the launcher finds, or since that one was killed. */
export type RoleEnd = "upgrade" | "orphaned";

/** Where a new executable comes from. */
export interface ExecutableSource {
  /** Has it here. @throws OrchdError `unreachable`, `notFound`, `noSpace` */
  bring(digest: string): Promise<void>;
  /** @throws OrchdError `invalid` when it is none of orchd */
  mark(digest: string): Promise<BuildMark>;
  read(digest: string): AsyncIterable<Uint8Array>;
}

export interface SelfUpgradeOptions {
  dataDir: string;
  log: Log;
  /** `linux/arm64`. */
  platform: string;
  /** The trial that this process is, if it is one. */
  trial: string | undefined;
}

/** This process's part in its upgrade: puts another executable beside its own, and ends for it. */
export class SelfUpgrade {
  readonly #options: SelfUpgradeOptions;
  readonly #files: SlotFiles;
  readonly #end = Promise.withResolvers<RoleEnd>();
  #source: ExecutableSource | undefined;
  #isBusy = false;

  constructor(options: SelfUpgradeOptions) {
    this.#options = options;
    this.#files = new SlotFiles(options.dataDir);
    if (options.trial !== undefined) this.#watchParent(process.ppid);
  }

  /** Resolves when the role is to end. */
  get end(): Promise<RoleEnd> {
    return this.#end.promise;
  }

  /** Whether this process is a trial itself: it may end at any moment. */
  get isTrial(): boolean {
    return this.#options.trial !== undefined;
  }

  /** What other executables are had from; until this is called none is. */
  useSource(source: ExecutableSource): void {
    this.#source = source;
  }

  /** What the node tells of its executables. */
  facts(): NonNullable<NodeFacts["executable"]> {
    const slots = this.#slots();
    if (slots === undefined) return {};
    const place = this.#placeOf(slots);
    const content = place === undefined || place === "installed" ? undefined : slots[place];
    return {
      ...(content === undefined ? {} : { digest: content.digest }),
      ...(slots.last === undefined ? {} : { last: slots.last }),
      // What is tried may still be given up.
      ...(this.#options.trial === undefined ? {} : { isTrial: true }),
    };
  }

  /** This process is back in membership. */
  confirm(): void {
    const { trial, log } = this.#options;
    if (trial === undefined) return;
    try {
      this.#files.confirm(trial);
    } catch (error) {
      log.error(`the upgrade can't be confirmed: ${messageChainOf(error)}`);
    }
  }

  /**
   * Gets, checks and tries out what is ordered, beside what runs; then this process ends, and the
   * launcher sees whether the new one comes back.
   * @throws OrchdError `conflict`, `invalid`, `damaged`, `noSpace`, `unreachable`; nothing of what
   * runs has changed then
   */
  async follow(order: UpgradeOrder): Promise<void> {
    if (this.#options.trial !== undefined || this.#isBusy) {
      const message = "the node is being upgraded just now";
      throw new OrchdError("conflict", message, { retryable: true });
    }
    this.#isBusy = true;
    try {
      await this.#prepare(order);
    } catch (error) {
      this.#isBusy = false;
      throw error;
    }
    this.#options.log.info(`orchd ${order.version} is ready to be tried: this one ends for it`);
    setTimeout(() => this.#end.resolve("upgrade"), RESTART_AFTER_MS);
  }

  /** A trial that nobody supervises any more would be in the way of the next one. */
  #watchParent(parent: number): void {
    const timer = setInterval(() => {
      if (process.ppid === parent) return;
      clearInterval(timer);
      this.#end.resolve("orphaned");
    }, LOOK_AT_PARENT_MS);
    timer.unref();
  }

  async #prepare(order: UpgradeOrder): Promise<void> {
    const { id, version, digest, sizeBytes, withinMs } = order;
    const source = this.#source;
    if (source === undefined) throw new OrchdError("conflict", "the node has no executables");
    const slots = this.#slots() ?? newSlots();
    const slot = slotFor(slots);
    await source.bring(digest);
    this.#requireFit(order, await source.mark(digest));
    this.#requireRoom(sizeBytes);
    const content = { version, digest, sizeBytes };
    await this.#files.fill(slot, content, source.read(digest));
    await this.#requireRuns(slot, version);
    this.#files.write(beginTrial(slots, { id, slot, withinMs, content }));
  }

  #requireFit(order: UpgradeOrder, found: BuildMark): void {
    const { platform } = this.#options;
    if (found.platform !== platform) {
      const message = `the executable is for ${found.platform}, and this node is ${platform}`;
      throw new OrchdError("invalid", message);
    }
    if (found.version === order.version) return;
    const message = `the executable is orchd ${found.version}, and not ${order.version}`;
    throw new OrchdError("invalid", message);
  }

  #requireRoom(sizeBytes: number): void {
    const { bavail, bsize } = statfsSync(this.#options.dataDir);
    if (bavail * bsize - sizeBytes >= RESERVE_BYTES) return;
    const message =
      `the disk has no room for another executable (${formatBytes(bavail * bsize)} are free): ` +
      "make room there";
    throw new OrchdError("noSpace", message, { retryable: true });
  }

  /** What does not even say its version here is not tried. */
  async #requireRuns(slot: Slot, version: string): Promise<void> {
    const path = this.#files.pathOf(slot);
    let printed: string;
    try {
      const run = promisify(execFile);
      const options = {
        timeout: VERSION_MS,
        killSignal: "SIGKILL" as const,
        maxBuffer: VERSION_BYTES_MAX,
      };
      printed = (await run(path, ["version", "--json"], options)).stdout;
    } catch (cause) {
      const message = "the new executable does not run on this machine";
      throw new OrchdError("invalid", message, { cause });
    }
    if (versionIn(printed) === version) return;
    throw new OrchdError("invalid", `the new executable does not say that it is orchd ${version}`);
  }

  #slots(): Slots | undefined {
    try {
      const slots = this.#files.read();
      // People put another executable in the place of the installed one, and started it.
      return slots === undefined || this.#placeOf(slots) === undefined ? undefined : slots;
    } catch (error) {
      this.#options.log.warn(`earlier upgrades are forgotten: ${messageChainOf(error)}`);
      return undefined;
    }
  }

  #placeOf(slots: Slots): Place | undefined {
    const place = this.#files.placeOf(slots, ownExecutable());
    return place === "other" ? undefined : place;
  }
}

function versionIn(printed: string): string | undefined {
  try {
    return z.object({ version: versionTextSchema }).parse(JSON.parse(printed)).version;
  } catch {
    // It is some other program.
    return undefined;
  }
}

function newSlots(): Slots {
  const path = ownExecutable();
  try {
    return { format: 1, installed: installedAt(path), active: "installed", former: "installed" };
  } catch (cause) {
    const message = `${path} is not there any more: start orchd again before it is upgraded`;
    throw new OrchdError("conflict", message, { cause });
  }
}
