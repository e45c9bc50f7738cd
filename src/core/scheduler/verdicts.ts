import type { ServiceId } from "../../model/ids.ts";
import type { Placement, ServiceSpec } from "../../model/service.ts";

/** How many numbers are kept for all services together: two bytes each. */
const KEPT_MAX = 16_000_000;
const SERVICES_MIN = 16;

const UNKNOWN = 0;
const FITS = 1;
/** The first of those that stand for a reason. */
const REFUSES = 2;
const REASONS_MAX = 60_000;

/**
 * What filters that no placement changes have said of nodes, for the tasks of one revision. Nodes
 * are numbers: their places in the cluster's loads.
 */
export class Verdicts {
  #codes = new Uint16Array(0);
  readonly #reasons: string[] = [];
  readonly #codeOf = new Map<string, number>();

  /** Makes room for so many nodes, the last of which may be new. */
  reach(nodes: number): void {
    if (this.#codes.length >= nodes) return;
    const codes = new Uint16Array(nodes + (nodes >> 1) + 16);
    codes.set(this.#codes);
    this.#codes = codes;
  }

  /** The nodes of the first so many that are not known to refuse. */
  members(nodes: number): Int32Array {
    this.reach(nodes);
    const codes = this.#codes;
    const members = new Int32Array(nodes);
    let size = 0;
    for (let i = 0; i < nodes; i++) {
      if ((codes[i] ?? UNKNOWN) < REFUSES) members[size++] = i;
    }
    return members.subarray(0, size);
  }

  /** Why a node refuses, or undefined when it does not: asks where that is not known. */
  of(node: number, ask: () => string | undefined): string | undefined {
    const known = this.#codes[node] ?? UNKNOWN;
    if (known >= REFUSES) return this.#reasons[known - REFUSES];
    if (known === FITS) return undefined;
    const reason = ask();
    this.#codes[node] = reason === undefined ? FITS : this.#code(reason);
    return reason;
  }

  /** How many of the first so many nodes are known to refuse for which reason. */
  refusals(nodes: number): Map<string, number> {
    const counts = new Map<string, number>();
    for (let i = 0; i < nodes; i++) {
      const reason = this.#reasons[(this.#codes[i] ?? UNKNOWN) - REFUSES];
      if (reason !== undefined) counts.set(reason, (counts.get(reason) ?? 0) + 1);
    }
    return counts;
  }

  forget(node: number): void {
    this.#codes[node] = UNKNOWN;
  }

  #code(reason: string): number {
    const known = this.#codeOf.get(reason);
    if (known !== undefined) return known;
    // Nodes come and go, and each has its own words: it is not known then, and asked again.
    if (this.#reasons.length >= REASONS_MAX) return UNKNOWN;
    const code = this.#reasons.push(reason) - 1 + REFUSES;
    this.#codeOf.set(reason, code);
    return code;
  }
}

interface Kept {
  spec: ServiceSpec;
  placement: Placement;
  verdicts: Verdicts;
}

/** The verdicts for the services that were placed last; a node that changes is asked anew. */
export class VerdictCache {
  readonly #byService = new Map<ServiceId, Kept>();

  /**
   * The verdicts for tasks of one revision: they hold as long as these very objects do.
   * @param spec of the revision
   * @param placement the newest one
   */
  of(id: ServiceId, spec: ServiceSpec, placement: Placement, nodes: number): Verdicts {
    const kept = this.#byService.get(id);
    this.#byService.delete(id);
    const isSame = kept !== undefined && kept.spec === spec && kept.placement === placement;
    const verdicts = isSame ? kept.verdicts : new Verdicts();
    verdicts.reach(nodes);
    this.#byService.set(id, { spec, placement, verdicts });
    const most = Math.max(SERVICES_MIN, Math.floor(KEPT_MAX / Math.max(1, nodes)));
    for (const oldest of this.#byService.keys()) {
      if (this.#byService.size <= most) break;
      this.#byService.delete(oldest);
    }
    return verdicts;
  }

  /** The node at this place has changed, or is another one. */
  forget(node: number): void {
    for (const { verdicts } of this.#byService.values()) verdicts.forget(node);
  }
}
