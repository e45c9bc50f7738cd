import { OrchdError } from "../lib/errors.ts";
import { expandContainer } from "../core/task/expand.ts";
import type { Assignment } from "../model/assignment.ts";
import type { ContainerSpec, Mount } from "../model/container.ts";
import type { TaskId } from "../model/ids.ts";
import { formatItem, grantAt, type Grant, type ItemKind } from "../model/item.ts";
import { templateContextOf, type TemplateNode } from "../model/template-context.ts";
import { expandContent, type ContentSources, type TemplateContext } from "../model/template.ts";
import type { Contents } from "./contents.ts";
import type { TaskFiles } from "./task-files.ts";

/** More than of any output is told. */
const HIDDEN_BYTES_MAX = 4096;

export interface GrantsOptions {
  node: TemplateNode;
  contents: Contents | undefined;
  /** Undefined for a runtime whose containers have no files. */
  files: TaskFiles | undefined;
}

/** Makes ready what a task reads: its secrets and configs as files, its templates filled in. */
export class Grants {
  readonly #options: GrantsOptions;

  constructor(options: GrantsOptions) {
    this.#options = options;
  }

  /**
   * The assignment as its user wrote it, with the templates of its container filled in.
   * @throws OrchdError `invalid` for one that can't be
   */
  fill(assignment: Assignment): Assignment {
    const context = templateContextOf(assignment, this.#options.node);
    const expanded = expandContainer(assignment.container, context);
    if (!expanded.ok) throw new OrchdError("invalid", expanded.problem);
    return { ...assignment, container: expanded.value };
  }

  /**
   * A filled-in assignment as its container is to be made: what it reads is mounted from orchd's
   * own directory, which nobody can ask for.
   * @throws OrchdError `unreachable` (retryable) while a content is not here, `notFound` when it is
   * gone, `invalid` for a template that can't be filled in, `noSpace`
   */
  async mount(assignment: Assignment): Promise<Assignment> {
    const { grants = [], ...container } = assignment.container;
    if (grants.length === 0) return assignment;
    const context = templateContextOf(assignment, this.#options.node);
    const contents = grants.map((grant) => this.#contentOf(grant, { container, grants, context }));
    const files = grants.map(({ uid, gid, mode }, i) => {
      return { bytes: contents[i] ?? new Uint8Array(), uid, gid, mode };
    });
    const paths = (await this.#options.files?.write(assignment.taskId, files)) ?? [];
    const mounts = paths.map((source, i) => mountOf(source, grants[i]?.target ?? ""));
    return { ...assignment, container: { ...container, mounts: [...container.mounts, ...mounts] } };
  }

  /** What the task's secrets hold that are text and not too long to be printed by mistake. */
  secretsOf({ container: { grants = [] } }: Assignment): string[] {
    return grants.flatMap((grant) => {
      const bytes = grant.kind === "secret" ? this.#options.contents?.find(grant) : undefined;
      return bytes === undefined || bytes.length > HIDDEN_BYTES_MAX ? [] : (textOf(bytes) ?? []);
    });
  }

  /** The task has ended: nobody reads its files any more. */
  release(taskId: TaskId): void {
    this.#options.files?.remove(taskId);
  }

  /** Removes the files of tasks that are not there any more. */
  sweep(isThere: (taskId: TaskId) => boolean): void {
    this.#options.files?.sweep(isThere);
  }

  #contentOf(
    grant: Grant,
    { container, grants, context }: TemplateOf & { context: TemplateContext },
  ): Uint8Array {
    const bytes = this.#read(grant);
    if (grant.isTemplate !== true) return bytes;
    const sources = this.#sourcesOf({ container, grants });
    const text = textOf(bytes);
    const expanded =
      text === undefined
        ? { ok: false as const, problem: "is not text in UTF-8" }
        : expandContent(text, context, sources);
    if (expanded.ok) return new TextEncoder().encode(expanded.value);
    throw new OrchdError("invalid", `the template of ${formatItem(grant)} ${expanded.problem}`);
  }

  /** What is put into a template is not filled in itself: nothing goes round in a circle. */
  #sourcesOf({ container, grants }: TemplateOf): ContentSources {
    const read = (kind: ItemKind, target: string) => {
      const grant = grantAt(grants, kind, target);
      if (grant === undefined) {
        const problem = `asks for a ${kind} that the service does not have under that target`;
        return { ok: false as const, problem };
      }
      const value = textOf(this.#read(grant));
      if (value !== undefined) return { ok: true as const, value };
      return { ok: false as const, problem: `puts in ${formatItem(grant)}, which is not text` };
    };
    const { environment } = container;
    return {
      env: (name) => (Object.hasOwn(environment, name) ? (environment[name] ?? "") : ""),
      secret: (target) => read("secret", target),
      config: (target) => read("config", target),
    };
  }

  #read(grant: Grant): Uint8Array {
    const { contents } = this.#options;
    if (contents !== undefined) return contents.read(grant);
    throw new OrchdError("runtime", `this node keeps no secrets, and ${formatItem(grant)} is one`);
  }
}

interface TemplateOf {
  container: Pick<ContainerSpec, "environment">;
  grants: readonly Grant[];
}

function mountOf(source: string, target: string): Mount {
  return { type: "bind", source, target, readOnly: true, createSource: false };
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    // Bytes that are no text.
    return undefined;
  }
}
