import { z } from "zod";
import { formatBytes } from "../lib/text.ts";
import { formatWindow, isOpen, parseWindow, type Window, windowSchema } from "./window.ts";

const RATE_MIN = 8 * 1024;
const RATE_MAX = 1e12;
const LINK_WINDOWS_MAX = 16;

const rateSchema = z.int().min(RATE_MIN).max(RATE_MAX);
const windowsSchema = z.array(windowSchema).max(LINK_WINDOWS_MAX);

/** What a node's link to other machines may be used for, where it is slow or costs money. */
export const nodeLinkSchema = z.object({
  /** What images take of it at most, each way; absent means as much as there is. */
  bytesPerSecond: rateSchema.optional(),
  /** When images come that no task there needs yet; absent means at any time. */
  windows: windowsSchema.min(1).optional(),
});
export type NodeLink = z.infer<typeof nodeLinkSchema>;

/** What becomes of a node's link; what is absent stays. */
export const linkChangeSchema = z.object({
  /** Null: as much as there is. */
  bytesPerSecond: rateSchema.nullable().optional(),
  /** None: at any time. */
  windows: windowsSchema.optional(),
});
export type LinkChange = z.infer<typeof linkChangeSchema>;

/** Undefined when nothing of it is left. */
export function changeLink(link: NodeLink = {}, change: LinkChange): NodeLink | undefined {
  const { bytesPerSecond: rate = link.bytesPerSecond ?? null } = change;
  const { windows = link.windows ?? [] } = change;
  if (rate === null && windows.length === 0) return undefined;
  return {
    ...(rate === null ? {} : { bytesPerSecond: rate }),
    ...(windows.length === 0 ? {} : { windows }),
  };
}

/**
 * Whether images may come that no task needs yet.
 * @param now milliseconds since 1970
 */
export function isLinkOpen(link: NodeLink | undefined, now: number): boolean {
  return link?.windows?.some((window) => isOpen(window, now)) ?? true;
}

const UNITS = {
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kbit: 1e3 / 8,
  mbit: 1e6 / 8,
  gbit: 1e9 / 8,
};

/** What of a text about a rate can't be read, in words that follow it. */
export const RATE_RULE = "must be like 2MiB/s, 500kB/s or 10Mbit/s, and 8KiB/s at least";

/** `2MiB/s` as bytes for each second. */
export function parseRate(text: string): number | undefined {
  const [, number = "", unit = ""] = /^(\d{1,9}(?:\.\d{1,3})?) ?([a-z]+)\/s$/i.exec(text) ?? [];
  const factor = Object.entries(UNITS).find(([name]) => name === unit.toLowerCase())?.[1];
  return rateSchema.safeParse(Math.round(Number(number) * (factor ?? 0))).data;
}

/** `22:00-06:00`, each day, or what else a window can be. */
export function parseLinkWindow(text: string): Window | undefined {
  return parseWindow(/^\d/.test(text) ? `Daily ${text}` : text);
}

/** `2 MiB/s, unneeded images Daily 22:00-06:00 UTC` */
export function formatLink({ bytesPerSecond, windows }: NodeLink): string {
  const rate = bytesPerSecond === undefined ? [] : [`${formatBytes(bytesPerSecond)}/s at most`];
  const times = windows?.map(formatWindow).join("; ");
  return [...rate, ...(times === undefined ? [] : [`images ahead of need ${times}`])].join(", ");
}
