import {
  formatProblem,
  loadCompose,
  type ComposeInput,
  type ComposeResult,
} from "../../../../src/core/compose/load.ts";
import type { ServiceSpec } from "../../../../src/model/service.ts";

/** Files by path; what is not there is missing. */
export type Files = Record<string, string>;

/** Loads texts as files of `/project`, the first as `compose.yaml`. */
export function loadText(
  text: string,
  more: Partial<ComposeInput> & { disk?: Files } = {},
): ComposeResult {
  const { disk = {}, ...input } = more;
  return loadCompose({
    files: [{ path: "/project/compose.yaml", text }],
    projectDirectory: "/project",
    profiles: [],
    environment: {},
    envFiles: [],
    read: (path) => {
      const found = Object.hasOwn(disk, path) ? disk[path] : undefined;
      if (found !== undefined) return { ok: true, text: found };
      return { ok: false, reason: "missing", message: "there is no such file" };
    },
    ...input,
  });
}

/** All problems, as people read them. */
export function problemsOf(result: ComposeResult): string[] {
  return result.problems.map(formatProblem);
}

/** The service, which must have come out. */
export function serviceOf(result: ComposeResult, name: string): ServiceSpec {
  const service = result.spec?.services[name];
  if (service === undefined) throw new Error(`no ${name}: ${problemsOf(result).join("\n")}`);
  return service;
}
