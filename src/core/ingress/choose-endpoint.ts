import { randomBelow, type Random } from "../../lib/random.ts";
import type { Endpoint } from "./route-table.ts";

/** What is known of an endpoint by the requests that went there. */
export interface Load {
  /** Requests that wait for it or are being answered by it. */
  outstanding: number;
  /** Until when it gets none since it did not take connections, in the caller's milliseconds. */
  asideUntil: number;
}

export interface Choice {
  endpoints: readonly Endpoint[];
  loadOf: (endpoint: Endpoint) => Load;
  /** Keys of endpoints that this request was sent to in vain. */
  tried: ReadonlySet<string>;
  /** The task that the client's cookie names. */
  wanted: string | undefined;
  now: number;
  random: Random;
}

/**
 * Where a request goes: to the task that its cookie names, if that is ready and takes connections,
 * or to the less busy one of two drawn at random ("The Power of Two Choices in Randomized Load
 * Balancing", Mitzenmacher 2001). Endpoints that are set aside come last rather than never.
 * @returns undefined when each endpoint was tried, or there is none
 */
export function chooseEndpoint(choice: Choice): Endpoint | undefined {
  const { endpoints, loadOf, tried, wanted, now } = choice;
  if (endpoints.length === 1 && tried.size === 0) return endpoints[0];
  const isFit = (one: Endpoint) => loadOf(one).asideUntil <= now && !tried.has(one.key);
  if (wanted !== undefined) {
    const known = endpoints.find(({ taskId }) => taskId === wanted);
    if (known !== undefined && isFit(known)) return known;
  }
  const [one, other] = twoOf(choice, endpoints);
  const pair = one !== undefined && other !== undefined && isFit(one) && isFit(other);
  if (pair) return lessBusy(choice, [one, other]);
  const left = endpoints.filter((endpoint) => !tried.has(endpoint.key));
  const fit = left.filter(isFit);
  return lessBusy(choice, twoOf(choice, fit.length > 0 ? fit : left));
}

/** Two different ones, drawn at random, or as many as there are. */
function twoOf({ random }: Choice, endpoints: readonly Endpoint[]): Endpoint[] {
  if (endpoints.length <= 2) return [...endpoints];
  const first = randomBelow(random, endpoints.length);
  const second = (first + 1 + randomBelow(random, endpoints.length - 1)) % endpoints.length;
  return [first, second].flatMap((index) => endpoints[index] ?? []);
}

/** Of two that are as busy, either: a quiet service would have one task do all the work. */
function lessBusy({ loadOf, random }: Choice, pair: readonly Endpoint[]): Endpoint | undefined {
  const [one, other] = pair;
  if (one === undefined || other === undefined) return one;
  const difference = loadOf(one).outstanding - loadOf(other).outstanding;
  if (difference === 0) return random.next() < 0.5 ? one : other;
  return difference < 0 ? one : other;
}
