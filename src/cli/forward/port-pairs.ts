import { usageError } from "../context.ts";

/** A port of this machine, 0 for a free one, and the port of the task that it leads to. */
export interface PortPair {
  local: number;
  remote: number;
}

/**
 * `8080:80`, `80` for the same on both sides, `:80` for a free port here.
 * @throws OrchdError `usage`
 */
export function parsePortPair(text: string): PortPair {
  const [, before, last = ""] = /^(?:(\d*):)?(\d+)$/.exec(text) ?? [];
  const remote = Number(last);
  const local = before === undefined ? remote : Number(before);
  if (last === "" || remote < 1 || remote > 65_535 || local > 65_535) {
    const shown = JSON.stringify(text);
    throw usageError(`${shown} is not a port: write it like 8080:80, 80 or :80`);
  }
  return { local, remote };
}
