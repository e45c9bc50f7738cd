import { describe, expect, test } from "bun:test";
import { planApply } from "../../../../src/core/reconcile/apply.ts";
import {
  findItem,
  planItemCollection,
  planItemCreate,
  planItemUpdate,
  usersOf,
  type NewContent,
} from "../../../../src/core/reconcile/items.ts";
import { changesOf } from "../../../../src/core/reconcile/plan.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import type { Change } from "../../../../src/model/change.ts";
import type { Content, Grant, Item, StackItem } from "../../../../src/model/item.ts";
import { undo } from "../../../../src/model/revise.ts";
import { specOf } from "../../../../src/model/service.ts";
import type { StackSpec } from "../../../../src/model/stack.ts";
import type { MemoryView } from "../../../../src/model/view.ts";
import {
  aContainer,
  aGrant,
  anId,
  anIngressRule,
  anItem,
  aService,
  aSpec,
  aStack,
  aTask,
  aView,
} from "../../../builders.ts";

/** A content whose digest is made of one letter; sealing it says for what. */
function sent(letter: string, sizeBytes = 3): NewContent {
  return {
    sizeBytes,
    digest: letter.repeat(52),
    templateProblem: () => (letter === "z" ? "makes no sense" : undefined),
    seal: (id) => `${letter}${id.replace(".", "/")}`,
  };
}

const declared: StackItem = {
  kind: "secret",
  name: "shop_pass",
  external: false,
  labels: {},
  isTemplate: false,
  upload: "aaaaaaaaaaaa",
};
const { content: _, ...ungranted } = aGrant(1);

function spec(items: StackItem[] = [declared], grants: Grant[] = [ungranted]): StackSpec {
  const container = aContainer({ grants });
  return { services: { web: aSpec({ container }) }, volumes: [], items };
}

function apply(view: MemoryView, letter: string, stack: StackSpec = spec(), sizeBytes = 3) {
  return planApply(view, "shop", stack, {
    prune: true,
    now: 1000,
    random: seededRandom("items"),
    upload: (id) => (id === "aaaaaaaaaaaa" ? sent(letter, sizeBytes) : undefined),
  });
}

/** Applies and answers what became of it. */
function commit(view: MemoryView, changes: readonly Change[]): void {
  expect(view.conflictIn(changes)).toBeUndefined();
  view.apply(changes, view.version + 1);
}

/** The stack as it is after it was applied with each of these contents. */
function applied(...letters: string[]): MemoryView {
  const view = aView({});
  for (const letter of letters) commit(view, apply(view, letter).changes);
  return view;
}

function itemIn(view: MemoryView): Item {
  const item = findItem(view, "secret", "shop_pass");
  if (item === undefined) throw new Error("there is no such secret");
  return item;
}

function serviceIn(view: MemoryView) {
  const service = view.serviceNamed("shop", "web");
  if (service === undefined) throw new Error("there is no such service");
  return service;
}

const usedVersion = (view: MemoryView) =>
  specOf(serviceIn(view)).container.grants?.map(({ content }) => content?.number);
const kept = (view: MemoryView) => itemIn(view).versions.map(({ number }) => number);

describe("a stack's own secret", () => {
  test("is made with the stack, sealed for its first version, and named in its services", () => {
    const view = applied("a");
    const { id } = itemIn(view);
    expect(itemIn(view)).toMatchObject({ stack: "shop", versions: [{ number: 1, sizeBytes: 3 }] });
    expect([...view.contents.values()]).toMatchObject([{ id: `${id}.1`, sealed: `a${id}/1` }]);
    expect(specOf(serviceIn(view)).container.grants).toEqual([
      aGrant(1, { content: { id, number: 1 } }),
    ]);
    expect(view.stacks.get("shop")?.items).toEqual([id]);
  });

  test("changes nothing when it is sent again unchanged", () => {
    const view = applied("a");
    const plan = apply(view, "a");
    expect(plan.changes).toEqual([]);
    expect(plan.lines).toMatchObject([{ action: "keep" }]);
  });

  test("with another content is a new version, and its services are replaced", () => {
    const view = applied("a");
    const plan = apply(view, "b");
    expect(plan.lines).toEqual([
      { action: "replace", service: "shop/web", detail: "secret shop_pass 1 -> 2" },
    ]);
    commit(view, plan.changes);
    expect({ used: usedVersion(view), kept: kept(view) }).toEqual({ used: [2], kept: [2, 1] });
    expect(serviceIn(view).templateRevision).toBe(2);
  });

  test("with other labels alone is no new version, and nothing is replaced", () => {
    const view = applied("a");
    const plan = apply(view, "a", spec([{ ...declared, labels: { owner: "ops" } }]));
    expect(plan.changes.map(({ kind }) => kind)).toEqual(["item"]);
    expect(plan.lines).toMatchObject([{ action: "keep" }]);
  });

  test("that becomes a template is read anew", () => {
    const view = applied("a");
    const plan = apply(view, "a", spec([{ ...declared, isTemplate: true }]));
    expect(plan.lines).toMatchObject([{ action: "replace" }]);
  });

  test("of which an older version is undone to comes back, and up goes to the newest again", () => {
    const view = applied("a", "b");
    const service = serviceIn(view);
    const [, first] = service.revisions;
    if (first === undefined) throw new Error("there is no older revision");
    const back = undo(service, first, { by: "person", why: "asked", now: 2000, tasks: [] });
    commit(view, [{ kind: "service", op: "put", value: back }]);
    expect(usedVersion(view)).toEqual([1]);
    commit(view, apply(view, "b").changes);
    expect(usedVersion(view)).toEqual([2]);
  });

  const refused: [title: string, view: () => MemoryView, stack: StackSpec, problem: RegExp][] = [
    [
      "is refused when another stack has the name",
      () => aView({ items: [anItem({ stack: "blog" })] }),
      spec(),
      /there is a secret shop_pass of stack blog already: say external: true/,
    ],
    [
      "is refused when the cluster has the name",
      () => aView({ items: [withoutStack()] }),
      spec(),
      /a secret shop_pass of no stack already/,
    ],
    [
      "is refused when its content did not arrive",
      () => aView({}),
      spec([{ ...declared, upload: "bbbbbbbbbbbb" }]),
      /the content of secret shop_pass did not arrive: try again/,
    ],
    [
      "is refused when it is external and not there",
      () => aView({}),
      spec([{ ...declared, external: true }]),
      /is external, and there is none: make it with `orchd secret create shop_pass FILE`/,
    ],
    ["is refused when it is declared twice", () => aView({}), spec([declared, declared]), /twice/],
    [
      "is refused when a service uses what is not declared",
      () => aView({}),
      spec([]),
      /service shop\/web uses secret shop_pass, which is not declared/,
    ],
  ];
  for (const [title, view, stack, problem] of refused) {
    test(title, () => {
      const plan = apply(view(), "a", stack);
      expect({ changes: plan.changes, text: plan.problems.join("; ") }).toEqual({
        changes: [],
        text: expect.stringMatching(problem),
      });
    });
  }

  test("is refused when it is empty or too large, and a config may be larger", () => {
    for (const size of [0, 512_001])
      expect(apply(aView({}), "a", spec(), size).problems).toHaveLength(1);
    expect(apply(aView({}), "a", spec(), 512_000).problems).toEqual([]);
    const config = { ...declared, kind: "config" as const };
    const stack = spec([config], [{ ...ungranted, kind: "config" }]);
    expect(apply(aView({}), "a", stack, 1_024_000).problems).toEqual([]);
    expect(apply(aView({}), "a", stack, 1_024_001).problems).toHaveLength(1);
  });

  test("is refused when all contents together would take too much room", () => {
    const versions = [{ number: 1, at: 0, sizeBytes: 1_000_000, digest: "0".repeat(52) }];
    const items = Array.from({ length: 67 }, (_, i) =>
      anItem({ id: anId(`i${i}`), kind: "config", name: `c${i}`, versions }),
    );
    expect(apply(aView({ items }), "a", spec(), 500_000).problems).toEqual([
      "the secrets and configs of a cluster take at most 64 MiB, old versions included",
    ]);
  });
});

describe("a secret of the cluster", () => {
  const described = { kind: "secret", name: "token", labels: {}, isTemplate: false } as const;
  const options = { now: 1, random: seededRandom("x"), upload: () => undefined };

  test("is made once: the second one is told how it is changed", () => {
    const view = aView({});
    const plan = planItemCreate(view, described, sent("a"), options);
    commit(view, plan.changes);
    expect(findItem(view, "secret", "token")?.stack).toBeUndefined();
    expect(planItemCreate(view, described, sent("b"), options)).toMatchObject({
      changes: [],
      problems: [expect.stringContaining("`orchd secret update token FILE`")],
    });
    expect(
      planItemCreate(view, { ...described, kind: "config" }, sent("b"), options).problems,
    ).toEqual([]);
  });

  test("is refused where its content is no good template, by whatever way it comes", () => {
    const told = [expect.stringContaining("is a template that makes no sense")];
    const template = { ...described, isTemplate: true };
    const made = planItemCreate(aView({}), template, sent("z"), options);
    expect(made).toMatchObject({ changes: [], problems: told });
    expect(planItemCreate(aView({}), described, sent("z"), options).problems).toEqual([]);
    const view = aView({ items: [anItem({ isTemplate: true })] });
    const changed = planItemUpdate(view, itemIn(view), sent("z"), 5);
    expect(changed).toMatchObject({ changes: [], problems: told });
    const stack = spec([{ ...declared, isTemplate: true }]);
    expect(apply(aView({}), "z", stack)).toMatchObject({ changes: [], problems: told });
  });

  test("with a new content rolls every service that uses it, and no other", () => {
    const item = anItem();
    const uses = aService({ container: aContainer({ grants: [aGrant(1)] }) });
    const other = aService({}, { id: anId("db"), name: "db" });
    const view = aView({ items: [item], services: [uses, other] });
    const plan = planItemUpdate(view, itemIn(view), sent("b"), 5);
    expect(plan.services).toEqual(["shop/web"]);
    commit(view, plan.changes);
    expect(usedVersion(view)).toEqual([2]);
    expect(serviceIn(view).revisions).toHaveLength(2);
  });

  test("that proves a host's name is the rule's at once, and no task is started", () => {
    const file = { kind: "secret" as const, name: anItem().name };
    const used = { ...file, content: { id: anItem().id, number: 1 } };
    const rule = anIngressRule({ tls: "file", files: { certificate: used, key: used } });
    const service = aService({ ingress: [rule] });
    const view = aView({ items: [anItem()], services: [service] });
    expect(usersOf(view, anItem().id)).toEqual(["shop/web"]);
    commit(view, planItemUpdate(view, itemIn(view), sent("b"), 5).changes);
    const next = { ...file, content: { id: anItem().id, number: 2 } };
    const [changed] = specOf(serviceIn(view)).ingress ?? [];
    expect(changed?.files).toEqual({ certificate: next, key: next });
    expect(serviceIn(view).templateRevision).toBe(service.templateRevision);
  });

  test("with the same content changes nothing", () => {
    const view = aView({ items: [anItem()], services: [aService()] });
    expect(planItemUpdate(view, itemIn(view), sent("0"), 5)).toMatchObject({
      changed: false,
      changes: [],
      services: [],
    });
  });
});

describe("who uses a secret", () => {
  const grants = (number: number) => aContainer({ grants: [aGrant(number)] });

  test("are services by their newest revision, and by tasks of older ones that are there", () => {
    const service = aService(
      {},
      {
        revisions: [
          { revision: 2, at: 0, spec: aSpec() },
          { revision: 1, at: 0, spec: aSpec({ container: grants(1) }) },
        ],
        templateRevision: 2,
      },
    );
    const task = aTask(service, "t", { revision: 1 });
    const ended = { ...task, state: "shutdown" as const };
    expect(usersOf(aView({ items: [anItem()], services: [service] }), anId("pass"))).toEqual([]);
    const withTask = aView({ items: [anItem()], services: [service], tasks: [task] });
    expect(usersOf(withTask, anId("pass"))).toEqual(["shop/web"]);
    const withEnded = aView({ items: [anItem()], services: [service], tasks: [ended] });
    expect(usersOf(withEnded, anId("pass"))).toEqual([]);
  });
});

describe("what nobody needs any more", () => {
  const versions = [3, 2, 1].map((number) => {
    return { number, at: 0, sizeBytes: 3, digest: String(number).repeat(52) };
  });
  const contents = versions.map(({ number }): Content => {
    return { id: `${anId("pass")}.${number}`, sealed: "abcd", version: 0 };
  });

  test("are versions that no kept revision uses; the newest stays", () => {
    const service = aService({ container: aContainer({ grants: [aGrant(2)] }) });
    const stacks = [aStack("shop", { items: [anId("pass")] })];
    const view = aView({ items: [anItem({ versions })], contents, services: [service], stacks });
    commit(view, planItemCollection(view));
    expect(kept(view)).toEqual([3, 2]);
    expect([...view.contents.keys()].sort()).toEqual([`${anId("pass")}.2`, `${anId("pass")}.3`]);
    expect(planItemCollection(view)).toEqual([]);
  });

  test("are items that their stack's file has no more, once no kept revision uses them", () => {
    const service = aService({ container: aContainer({ grants: [aGrant(3)] }) });
    const item = anItem({ versions: versions.slice(0, 1) });
    const used = aView({ items: [item], contents, services: [service], stacks: [aStack()] });
    expect(planItemCollection(used)).toEqual([]);
    const unused = aView({ items: [item], contents: contents.slice(0, 1), stacks: [aStack()] });
    commit(unused, planItemCollection(unused));
    expect([unused.items.size, unused.contents.size]).toEqual([0, 0]);
  });

  test("go with their stack; one that another stack uses stays, and is the cluster's", () => {
    const other = aService(
      { container: aContainer({ grants: [aGrant(3)] }) },
      { stack: "blog", id: anId("blog") },
    );
    const end = (services: (typeof other)[]) => {
      const view = aView({ items: [anItem({ versions })], contents, services, stacks: [aStack()] });
      commit(view, changesOf(view, [{ type: "deleteStack", name: "shop" }], 0));
      return view;
    };
    const gone = end([]);
    expect([gone.items.size, gone.contents.size]).toEqual([0, 0]);
    const stayed = end([other]);
    expect(itemIn(stayed).stack).toBeUndefined();
    expect(stayed.contents.size).toBe(3);
  });
});

function withoutStack(): Item {
  const { stack: _stack, ...item } = anItem();
  return item;
}
