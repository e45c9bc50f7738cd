import type { Clock, Timer } from "../lib/clock.ts";
import { equalJson } from "../lib/order.ts";
import { findDevices, type FoundDevices } from "./find-devices.ts";

/** A stick that is put in is there for tasks after so long; a look takes a few milliseconds. */
const LOOK_MS = 10_000;

/** Knows what devices the machine has, and tells when that changes. */
export class DeviceWatch {
  readonly #clock: Clock;
  readonly #find: () => Promise<FoundDevices>;
  #found: FoundDevices;
  #timer: Timer | undefined;
  #isClosed = false;

  private constructor(clock: Clock, find: () => Promise<FoundDevices>, found: FoundDevices) {
    this.#clock = clock;
    this.#find = find;
    this.#found = found;
  }

  /** @param root where the file system of the machine begins */
  static async begin(
    clock: Clock,
    root = "/",
    find = () => findDevices(root),
  ): Promise<DeviceWatch> {
    return new DeviceWatch(clock, find, await find());
  }

  get found(): FoundDevices {
    return this.#found;
  }

  /** Looks every now and then from now on. */
  watch(onChange: (found: FoundDevices) => void): void {
    this.#timer = this.#clock.after(LOOK_MS, () => void this.#look(onChange));
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  async #look(onChange: (found: FoundDevices) => void): Promise<void> {
    const found = await this.#find();
    if (this.#isClosed) return;
    const isNews = !equalJson(found, this.#found);
    this.#found = found;
    if (isNews) onChange(found);
    this.watch(onChange);
  }
}
