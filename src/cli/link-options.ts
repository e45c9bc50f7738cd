import { InvalidArgumentError } from "commander";
import { parseLinkWindow, parseRate, RATE_RULE } from "../model/link.ts";
import { type Window, WINDOW_RULE } from "../model/window.ts";

export const LINK_WINDOW_HELP =
  "when images come that no task needs yet, such as 22:00-06:00 or " +
  '"Sat,Sun 00:00-24:00 Europe/Berlin"; can be given several times; or any';

/** `2MiB/s` as bytes for each second. */
export function rateFrom(text: string): number {
  const rate = parseRate(text);
  if (rate === undefined) throw new InvalidArgumentError(`It ${RATE_RULE}.`);
  return rate;
}

/** One more window of an option; `any` alone is none. */
export function addLinkWindow(text: string, before: Window[] = []): Window[] {
  if (text === "any") return [];
  const window = parseLinkWindow(text);
  if (window === undefined) throw new InvalidArgumentError(`It ${WINDOW_RULE}.`);
  return [...before, window];
}
