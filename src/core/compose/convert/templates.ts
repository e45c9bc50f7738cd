import type { Mount } from "../../../model/container.ts";
import { templatesIn } from "../../../model/mount-templates.ts";
import { templateProblem } from "../../../model/template.ts";
import type { Cursor } from "./cursor.ts";

/** Told of a value that is filled in for each task and can't be. */
function refuse(at: Cursor, problem: string): undefined {
  return at.error(`has a template that ${problem}`);
}

/**
 * Refuses templates in environment and mounts that no task could be filled in with. What a value
 * becomes is known on the node alone.
 */
export function refuseTemplates(
  service: Cursor,
  { environment, mounts }: { environment: Readonly<Record<string, string>>; mounts: Mount[] },
): void {
  const written = new Map(service.get("environment")?.entries("pairs"));
  for (const [key, text] of Object.entries(environment)) {
    const problem = templateProblem(text, "spec");
    if (problem !== undefined)
      refuse(written.get(key) ?? service.get("env_file") ?? service, problem);
  }
  for (const mount of mounts) {
    for (const text of templatesIn(mount)) {
      const problem = templateProblem(text, "spec");
      if (problem !== undefined) refuse(service.get("volumes") ?? service, problem);
    }
  }
}

/** Whether a text is a good template; a bad one is told. */
export function isTemplated(text: string, at: Cursor): boolean {
  const problem = templateProblem(text, "spec");
  if (problem !== undefined) refuse(at, problem);
  return problem === undefined;
}

/** The text with a letter for what is filled in, to hold the rest of it against a rule. */
export function withoutActions(text: string): string {
  return text.replace(/\{\{[^]*?\}\}/g, "x");
}
