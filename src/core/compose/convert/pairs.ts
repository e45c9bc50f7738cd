import { joinPath } from "../../../lib/path.ts";
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
 * is taken from the environment in which the files are loaded, or left out when it is not set there.
 */
export function environmentOf(service: Cursor, loader: Loader): Record<string, string> {
  const variables = new Map<string, string>();
  for (const [read, cursor] of envFilesOf(service.get("env_file"), loader)) {
    for (const [key, value] of read) {
      const text = value ?? cursor.lookup(key);
      if (text !== undefined) variables.set(key, text);
    }
  }
  for (const [key, value] of service.get("environment")?.entries("pairs") ?? []) {
    if (key === "" || key.includes("=")) {
      value.error(`has ${quoted(key)}, which is not the name of a variable`);
      continue;
    }
    const text = value.text() ?? value.lookup(key);
    if (text === undefined) variables.delete(key);
    else variables.set(key, text);
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
  for (const [read] of envFilesOf(service.get("label_file"), loader)) {
    for (const [key, value] of read) labels.set(key, value ?? "");
  }
  for (const [key, value] of Object.entries(pairsOf(service.get("labels")))) labels.set(key, value);
  return Object.fromEntries(labels);
}
