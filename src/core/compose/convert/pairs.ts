import { joinPath } from "../../../lib/path.ts";
import { KEY_LENGTH_MAX, VALUE_LENGTH_MAX } from "../limits.ts";
import { quoted } from "../problem.ts";
import type { Variables } from "../read/env-file.ts";
import type { Loader } from "../read/loader.ts";
import type { Cursor } from "./cursor.ts";

/** `KEY: value` or a list of `KEY=value`. A key without a value has the empty text. */
export function pairsOf(cursor: Cursor | undefined): Record<string, string> {
  const pairs = cursor?.entries("pairs") ?? [];
  return Object.fromEntries(pairs.map(([key, value]) => [key, value.text() ?? ""]));
}

/**
 * The variables of a service: those of `env_file`, then those of `environment`. One without a value
 * is taken from the environment that the files are loaded with, or left out when it is not there.
 */
export function environmentOf(service: Cursor, loader: Loader): Record<string, string> {
  const variables = new Map<string, string>();
  for (const [read, cursor] of envFilesOf(service.get("env_file"), loader)) {
    for (const [key, value] of read) {
      const text = value ?? cursor.lookup(key);
      if (text !== undefined) variables.set(key, fitting(text, key, cursor));
    }
  }
  for (const [key, value] of service.get("environment")?.entries("pairs") ?? []) {
    if (key === "" || key.includes("=")) {
      value.error(`has ${quoted(key)}, which is not the name of a variable`);
      continue;
    }
    const text = value.text() ?? value.lookup(key);
    if (text === undefined) variables.delete(key);
    else variables.set(key, fitting(text, key, value));
  }
  return Object.fromEntries(variables);
}

function envFilesOf(list: Cursor | undefined, loader: Loader): [Variables, Cursor][] {
  const items = list?.isMap === false ? list.items() : [];
  return items.flatMap((item): [Variables, Cursor][] => {
    const path = item.isMap ? item.get("path") : item;
    const text = path?.text();
    if (path === undefined || text === undefined) return [];
    const format = item.get("format")?.text() ?? "";
    if (format !== "" && format !== "raw") {
      item.error(`has the format ${quoted(format)}; raw is the only other format`);
      return [];
    }
    const read = loader.envFile(joinPath(path.directory, text), {
      directory: path.directory,
      lookup: path.lookup,
      asker: { at: path.node.at, path: path.path },
      optional: item.get("required")?.flag() === false,
      raw: format === "raw",
    });
    return read === undefined ? [] : [[read, path]];
  });
}

/** The labels of a service's containers: those of `label_file`, then those of `labels`. */
export function labelsOf(service: Cursor, loader: Loader): Record<string, string> {
  const labels = new Map<string, string>();
  for (const [read, at] of envFilesOf(service.get("label_file"), loader)) {
    for (const [key, value] of read) labels.set(key, fitting(value ?? "", key, at));
  }
  for (const [key, value] of Object.entries(pairsOf(service.get("labels")))) labels.set(key, value);
  return Object.fromEntries(labels);
}

/** What comes from an env file or the shell is bounded as what stands in the Compose file is. */
function fitting(text: string, key: string, at: Cursor): string {
  if (text.length > VALUE_LENGTH_MAX || key.length > KEY_LENGTH_MAX) {
    at.error(`brings ${quoted(key)}, which is longer than ${VALUE_LENGTH_MAX} characters`);
  }
  return text;
}
