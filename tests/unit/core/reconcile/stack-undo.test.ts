import { expect, test } from "bun:test";
import { planApply } from "../../../../src/core/reconcile/apply.ts";
import { planStackUndo } from "../../../../src/core/reconcile/stack-undo.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import { put, type Change } from "../../../../src/model/change.ts";
import { pinOf, withPin } from "../../../../src/model/image-pin.ts";
import type { Grant, StackItem } from "../../../../src/model/item.ts";
import { currentRevision, specOf } from "../../../../src/model/service.ts";
import type { StackSpec } from "../../../../src/model/stack.ts";
import type { MemoryView } from "../../../../src/model/view.ts";
import { aContainer, aGrant, aNode, aSpec, aView } from "../../../builders.ts";

const node = aNode();
const NAMES = ["db", "web"] as const;

function declared(kind: "secret" | "config"): StackItem {
  const upload = (kind === "secret" ? "s" : "c").repeat(12);
  return { kind, name: `shop_${kind}`, external: false, labels: {}, isTemplate: false, upload };
}

function granted(kind: "secret" | "config"): Grant {
  const { content: _, ...grant } = aGrant(1, { kind, name: `shop_${kind}`, target: `/${kind}` });
  return grant;
}

/** Both services with this image, which read a secret and a config. */
function file(image: string): StackSpec {
  const grants = [granted("config"), granted("secret")];
  const spec = aSpec({ container: aContainer({ image, grants }) });
  return {
    services: { db: spec, web: spec },
    volumes: [],
    items: [declared("config"), declared("secret")],
  };
}

function commit(view: MemoryView, changes: readonly Change[]): void {
  expect(view.conflictIn(changes)).toBeUndefined();
  view.apply(changes, view.version + 1);
}

/** Applies the file with contents that this letter stands for, and pins what its images are. */
function up(view: MemoryView, image: string, letter: string): void {
  const content = { sizeBytes: 3, digest: letter.repeat(52), templateProblem: () => undefined };
  const upload = () => ({ ...content, seal: (id: string) => id });
  const options = { prune: true, now: 1000, random: seededRandom("undo"), upload };
  const plan = planApply(view, "shop", file(image), options);
  expect(plan.problems).toEqual([]);
  commit(view, plan.changes);
  const pin = { id: letter, digest: `sha256:${letter.repeat(64)}` };
  for (const service of NAMES.map((name) => serviceIn(view, name))) {
    commit(view, [put.service(withPin(service, currentRevision(service).revision, node, pin))]);
  }
}

function serviceIn(view: MemoryView, name: string) {
  const service = view.serviceNamed("shop", name);
  if (service === undefined) throw new Error(`there is no service ${name}`);
  return service;
}

/** What tasks of each service get now. */
function given(view: MemoryView) {
  return NAMES.map((name) => {
    const service = serviceIn(view, name);
    const { image, grants } = specOf(service).container;
    const versions = grants?.map(({ kind, content }) => `${kind} ${content?.number}`);
    return [image, pinOf(service, currentRevision(service).revision, node)?.id, versions];
  });
}

test("a stack goes back with its specs, configs, secrets and image digests together", () => {
  const view = aView({ nodes: [node] });
  up(view, "app:1", "a");
  const before = given(view);
  expect(before).toEqual(NAMES.map(() => ["app:1", "a", ["config 1", "secret 1"]]));
  up(view, "app:2", "b");
  expect(given(view)).toEqual(NAMES.map(() => ["app:2", "b", ["config 2", "secret 2"]]));
  const stack = view.stacks.get("shop");
  if (stack === undefined) throw new Error("there is no stack");
  const plan = planStackUndo(view, stack, undefined, 2000);
  expect(plan.problems).toEqual([]);
  commit(view, plan.changes);
  expect(given(view)).toEqual(before);
});
