import { equalJson } from "../lib/order.ts";
import type { Limits } from "./container.ts";
import { isOfTemplate, sameTemplate, specAt, specOf, type Service } from "./service.ts";

/**
 * The limits that hold by now for tasks of a revision: those of the newest revision that needed no
 * new tasks. Undefined where no revision since then said others than they were made with.
 */
export function limitsInForce(service: Service, revision: number): Limits | undefined {
  const made = specAt(service, revision);
  const later = service.revisions
    .filter((one) => one.revision > revision)
    .toSorted((a, b) => a.revision - b.revision)
    .map(({ spec }) => spec);
  const other = later.findIndex((spec) => !sameTemplate(made, spec));
  const alike = other < 0 ? later : later.slice(0, other);
  if (isOfTemplate(service, revision)) alike.push(specOf(service));
  const newest = alike.at(-1)?.resources.limits;
  const isOther = alike.some(({ resources: { limits } }) => {
    return !equalJson(limits, made.resources.limits);
  });
  return isOther ? newest : undefined;
}
