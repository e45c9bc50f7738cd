import type { Applied } from "../../src/model/change.ts";
import type { ServiceId } from "../../src/model/ids.ts";
import type { MachineVolume } from "./machine.ts";
import type { Violation } from "./violation.ts";

/** Data goes when people asked for that, and what was made after they asked stays. */
export class VolumeChecks {
  /** Services that went with their volumes, as somebody wanted; by the name of each volume. */
  readonly #given = new Map<string, Set<ServiceId>>();
  /** All services that a stack of this name ever had. */
  readonly #services = new Map<string, Set<ServiceId>>();
  readonly #onBroken: (violation: Violation) => void;

  constructor(onBroken: (violation: Violation) => void) {
    this.#onBroken = onBroken;
  }

  /** Notes which services there are, and for which volumes of theirs a removal is asked. */
  onDurable(applied: readonly Applied[]): void {
    for (const { kind, after } of applied) {
      if (kind === "service" && after !== undefined) {
        listIn(this.#services, after.stack).add(after.id);
      }
      if (kind !== "stack" || after?.removing !== true || !after.removeVolumes) continue;
      for (const name of after.volumes) {
        const given = listIn(this.#given, name);
        for (const id of listIn(this.#services, after.name)) given.add(id);
      }
    }
  }

  /** An agent removes a volume, with all that is in it. */
  onRemoval(node: string, name: string, volume: MachineVolume): void {
    const writer = this.#keeper(name, volume);
    if (writer === undefined) return;
    const message = `volume ${name} of node ${node} goes with data of service ${writer}`;
    this.#onBroken({ invariant: "S11", message: `${message}, which nobody gave up` });
  }

  /** Whether all that is in a volume was given up. */
  isGivenUp(name: string, volume: MachineVolume): boolean {
    return volume.writers.size > 0 && this.#keeper(name, volume) === undefined;
  }

  /** A service whose data is in the volume and is to stay. */
  #keeper(name: string, { writers }: MachineVolume): ServiceId | undefined {
    const given = this.#given.get(name);
    return [...writers].find((id) => given?.has(id) !== true);
  }
}

function listIn(map: Map<string, Set<ServiceId>>, key: string): Set<ServiceId> {
  const list = map.get(key) ?? new Set();
  map.set(key, list);
  return list;
}
