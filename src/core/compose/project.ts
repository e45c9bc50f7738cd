import { lastSegmentOf } from "../../lib/path.ts";
import { mergeNodes, withoutResets } from "./merge/merge-nodes.ts";
import { completeFile } from "./merge/include-files.ts";
import { root as rootShape } from "./properties/root.ts";
import { lookupIn, lookupWithEnvFiles } from "./read/environment.ts";
import type { Loader } from "./read/loader.ts";
import { normaliseName, stackNameOf, writtenNameOf } from "./read/stack-name.ts";
import type { Lookup } from "./source-file.ts";
import { mapNode, valueAt, type MapNode, type Node } from "./yaml/tree.ts";

export interface ProjectSources {
  files: readonly { path: string; text: string }[];
  projectDirectory: string;
  name?: string;
  environment: Readonly<Record<string, string>>;
  envFiles: readonly string[];
}

export interface Project {
  name: string;
  /** What all files say together; undefined when none of them could be read. */
  root: MapNode | undefined;
  lookup: Lookup;
}

/** Reads and merges the files of a project, with all that they extend and include. */
export function readProject(sources: ProjectSources, loader: Loader): Project {
  const { projectDirectory: directory } = sources;
  const outer = lookupWithEnvFiles(
    {
      paths: sources.envFiles,
      directory,
      first: lookupIn(sources.environment),
      asker: { path: sources.envFiles.length > 0 ? "--env-file" : ".env" },
    },
    loader,
  );
  let name: string | undefined = sources.name;
  const lookup: Lookup = (variable) =>
    outer(variable) ?? (variable === "COMPOSE_PROJECT_NAME" ? name : undefined);
  const read = sources.files.map(({ path, text }) => {
    const file = loader.source(path, text, { directory, lookup });
    return { file, contents: loader.contents(file) };
  });
  name ??=
    writtenNameOf(
      read.map(({ contents }) => contents),
      outer,
    ) ?? normaliseName(lastSegmentOf(directory));
  const trees = read.flatMap(({ file, contents }) => {
    return contents === undefined ? [] : (loader.tree(file, contents) ?? []);
  });
  name = stackNameOf(
    {
      given: sources.name,
      node: trees.map((tree) => valueAt(tree, "name")).findLast((node) => node !== undefined),
      lookup: outer,
      projectDirectory: directory,
    },
    loader.problems,
  );
  return { name, root: mergeFiles(trees, loader), lookup };
}

function mergeFiles(trees: readonly MapNode[], loader: Loader): MapNode | undefined {
  let merged: Node | undefined;
  for (const tree of trees) {
    const complete = completeFile(tree, loader);
    const before = merged ?? mapNode(complete.at, new Map());
    merged = mergeNodes(before, complete, rootShape, loader.budget);
  }
  if (merged !== undefined && loader.hasResets) merged = withoutResets(merged);
  return merged?.kind === "map" ? merged : undefined;
}
