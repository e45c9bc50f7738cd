import { readFileSync } from "node:fs";
import { join } from "node:path";
import { formatProblem, loadCompose, type ComposeResult } from "../../../src/core/compose/load.ts";
import type { ReadResult } from "../../../src/core/compose/read/loader.ts";
import { systemCodeOf } from "../../../src/lib/errors.ts";
import { equalJson } from "../../../src/lib/order.ts";

/** Where the files seem to be, so that the outcome is the same in every clone. */
const PROJECT = "/project";

const ENVIRONMENT = {
  HOME: "/home/me",
  SHELL_VALUE: "from the shell",
  EMPTY: "",
  NUMBER: "3",
  YES: "true",
  TEMPLATE: "${NUMBER}",
};

export interface Loaded {
  result: ComposeResult;
  /** Whether the file's first line asks for the report. */
  wantsReport: boolean;
}

/** Loads files of a directory; `# profiles: a b` and `# report` on the first line choose. */
export function loadGolden(directory: string, files: string[]): Loaded {
  const sources = files.map((file) => {
    return { path: `${PROJECT}/${file}`, text: readFileSync(join(directory, file), "utf8") };
  });
  const firstLine = sources[0]?.text.split("\n")[0] ?? "";
  const result = loadCompose({
    files: sources,
    projectDirectory: PROJECT,
    profiles: /^# profiles: (.*)$/.exec(firstLine)?.[1]?.split(" ") ?? [],
    environment: ENVIRONMENT,
    envFiles: [],
    read: (path) => readBelow(directory, path),
    readContent: (path) => {
      const read = readBelow(directory, path);
      return read.ok ? { ok: true, bytes: new TextEncoder().encode(read.text) } : read;
    },
  });
  return { result, wantsReport: firstLine === "# report" };
}

function readBelow(directory: string, path: string): ReadResult {
  try {
    return { ok: true, text: readFileSync(join(directory, path.slice(PROJECT.length)), "utf8") };
  } catch (error) {
    if (systemCodeOf(error) === "EISDIR") {
      return { ok: false, reason: "not-a-file", message: "it is a directory" };
    }
    return { ok: false, reason: "missing", message: "there is no such file" };
  }
}

/** What a reviewer reads: problems first, then what each service has beyond a plain one. */
export function formatResult({ result, wantsReport }: Loaded): string {
  const { name, problems, spec, report } = result;
  const lines = [`stack ${name}${spec === undefined ? ": refused" : ""}`];
  for (const problem of problems) lines.push(formatProblem(problem));
  if (wantsReport) {
    lines.push("", "report");
    for (const { path, status, message, line, column } of report) {
      lines.push(`${line}:${column} ${path}: ${status}${message === "" ? "" : `, ${message}`}`);
    }
  }
  const plain = plainService();
  for (const [service, actual] of Object.entries(spec?.services ?? {})) {
    const shown = name === "project" && isMinimal(spec) ? actual : beyond(plain, actual);
    lines.push("", `service ${service}`, JSON.stringify(shown, undefined, 2));
  }
  if (spec !== undefined && spec.volumes.length > 0) {
    lines.push("", `volumes ${spec.volumes.join(", ")}`);
  }
  for (const item of spec?.items ?? []) {
    const { kind, name, external, isTemplate, labels } = item;
    const words = [external ? "external" : "", isTemplate ? "template" : ""].filter(Boolean);
    lines.push("", [kind, name, ...words, JSON.stringify(labels)].join(" "));
    const content = result.contents.find((one) => one.kind === kind && one.name === name);
    if (content !== undefined) lines.push(`holds ${JSON.stringify(textOf(content.bytes))}`);
  }
  return `${lines.join("\n")}\n`;
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** The one file that shows all defaults. */
function isMinimal(spec: ComposeResult["spec"]): boolean {
  const services = Object.values(spec?.services ?? {});
  return services.length === 1 && equalJson(services[0], plainService());
}

function plainService(): unknown {
  const { spec } = loadCompose({
    files: [{ path: "plain.yaml", text: "services: {plain: {image: nginx}}" }],
    projectDirectory: PROJECT,
    profiles: [],
    environment: {},
    envFiles: [],
    read: () => ({ ok: false, reason: "missing", message: "there is no such file" }),
  });
  return spec?.services["plain"];
}

/** The parts of `actual` that `plain` does not have. */
function beyond(plain: unknown, actual: unknown): unknown {
  if (!isRecord(plain) || !isRecord(actual)) return actual;
  const different = Object.entries(actual).filter(([key, value]) => !equalJson(plain[key], value));
  return Object.fromEntries(different.map(([key, value]) => [key, beyond(plain[key], value)]));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
