import { anId, aNode, aPendingTask, aService, aTask, aView, withNewImage } from "../../builders.ts";
import { HEALTHS, numberOf, parseWords, wordOf, type Words } from "../words.ts";
import { specOfWords } from "../spec-words.ts";
import type { Node } from "../../../src/model/node.ts";
import type { Service } from "../../../src/model/service.ts";
import { TASK_STATES, type Task } from "../../../src/model/task.ts";
import type { MemoryView } from "../../../src/model/view.ts";

export interface ParsedWorld {
  view: MemoryView;
  now: number;
}

/**
 * Reads a world: a line for each node, service and task, and one for the time in seconds. `#`
 * begins a comment. A service with `revisions=2` has changed its image once since its first tasks.
 */
export function parseWorld(text: string): ParsedWorld {
  const nodes: Node[] = [];
  const services: Service[] = [];
  const tasks: Task[] = [];
  let now = 0;
  for (const line of text.split("\n")) {
    const [kind, rest] = splitFirst(line.replace(/#.*/, "").trim());
    if (kind === "") continue;
    const words = parseWords(rest);
    if (kind === "at") now = Number(words.name.replace(/s$/, "")) * 1000;
    else if (kind === "node") nodes.push(nodeOf(words));
    else if (kind === "service") services.push(serviceOf(words));
    else if (kind === "task") tasks.push(taskOf(words, services));
    else throw new Error(`"${line}" is none of at, node, service, task`);
  }
  return { view: aView({ nodes, services, tasks }), now };
}

function splitFirst(line: string): [string, string] {
  const space = line.indexOf(" ");
  return space < 0 ? [line, ""] : [line.slice(0, space), line.slice(space + 1)];
}

function nodeOf(words: Words): Node {
  return aNode(words.name, {
    availability: wordOf(words, "availability", ["active", "pause", "drain"]),
    health: wordOf(words, "health", ["ready", "suspect", "down"]),
  });
}

function serviceOf(words: Words): Service {
  const spec = specOfWords(words);
  const removing = words.values.get("removing") === "yes";
  let service = aService(spec, { id: anId(words.name), name: words.name, removing });
  for (let i = 1; i < numberOf(words, "revisions", 1); i++) service = withNewImage(service);
  return service;
}

function taskOf(words: Words, services: readonly Service[]): Task {
  const service = services.at(-1);
  if (service === undefined) throw new Error("a task stands before its service");
  const state = wordOf(words, "state", ["running", ...TASK_STATES]);
  const at = numberOf(words, "since", 0) * 1000;
  const over: Partial<Task> = {
    slot: words.values.get("slot") ?? "1",
    state,
    desired: wordOf(words, "desired", ["running", "shutdown", "removed"]),
    health: wordOf(words, "health", HEALTHS),
    revision: numberOf(words, "rev", service.templateRevision),
    failures: numberOf(words, "failures", 0),
    createdAt: numberOf(words, "created", 0) * 1000,
    since: at,
    startedAt: at,
    finishedAt: at,
  };
  if (state === "pending") return aPendingTask(service, words.name, over);
  return aTask(service, words.name, { ...over, nodeId: anId(words.values.get("node") ?? "n1") });
}
