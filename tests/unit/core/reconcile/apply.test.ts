import { describe, expect, test } from "bun:test";
import { planApply, type ApplyPlan } from "../../../../src/core/reconcile/apply.ts";
import { seededRandom } from "../../../../src/lib/random.ts";
import { specOf, type ServiceSpec } from "../../../../src/model/service.ts";
import type { MemoryView } from "../../../../src/model/view.ts";
import { aContainer, aPort, aService, aSpec, aStack, aView, anId } from "../../../builders.ts";

type Services = Record<string, ServiceSpec>;

function apply(
  view: MemoryView,
  services: Services,
  over: { prune?: boolean; volumes?: string[] } = {},
) {
  const { prune = false, volumes = [] } = over;
  const options = { prune, now: 100, random: seededRandom("test") };
  return planApply(view, "shop", { services, volumes }, options);
}

/** The view after the plan was carried out. */
function after(view: MemoryView, plan: ApplyPlan): MemoryView {
  view.apply(plan.changes, view.version + 1);
  return view;
}

const lines = (plan: ApplyPlan) =>
  plan.lines.map(({ action, service, detail }) => `${action} ${service} ${detail}`.trim());

describe("applying a file", () => {
  test("for the first time makes the stack and its services", () => {
    const view = aView({});
    const plan = apply(view, { web: aSpec(), db: aSpec() }, { volumes: ["shop_data"] });
    expect(lines(plan)).toEqual([
      "create shop/db localhost/web:1",
      "create shop/web localhost/web:1",
    ]);
    after(view, plan);
    expect(view.stacks.get("shop")).toMatchObject({ volumes: ["shop_data"], createdAt: 100 });
    expect(view.serviceNamed("shop", "web")).toMatchObject({
      templateRevision: 1,
      removing: false,
    });
  });

  test("again changes nothing", () => {
    const services = { web: aSpec({ ports: [aPort({ published: 0 })] }), db: aSpec() };
    const view = after(aView({}), apply(aView({}), services, { volumes: ["v"] }));
    const again = apply(view, services, { volumes: ["v"] });
    expect([again.changes, lines(again)]).toEqual([[], ["keep shop/db", "keep shop/web"]]);
  });

  test("tells what it does with each service", () => {
    const services = [
      aService({}, { id: anId("a"), name: "a" }),
      aService({}, { id: anId("b"), name: "b" }),
      aService({}, { id: anId("c"), name: "c" }),
    ];
    const plan = apply(aView({ stacks: [aStack()], services }), {
      a: aSpec({ container: aContainer({ image: "localhost/web:2", environment: { A: "1" } }) }),
      b: aSpec({ replicas: 3 }),
      c: aSpec({ labels: { team: "red" } }),
    });
    expect(lines(plan)).toEqual([
      "replace shop/a image localhost/web:1 -> localhost/web:2, environment",
      "scale shop/b replicas 1 -> 3",
      "update shop/c labels",
    ]);
  });

  test("does not undo a restart that people asked for", () => {
    const view = aView({ stacks: [aStack()], services: [aService({ restarts: 2 })] });
    expect(apply(view, { web: aSpec() }).changes).toEqual([]);
  });

  test("remembers every volume that the stack ever had", () => {
    const view = aView({ stacks: [aStack("shop", { volumes: ["b"] })], services: [aService()] });
    after(view, apply(view, { web: aSpec() }, { volumes: ["a"] }));
    expect(view.stacks.get("shop")?.volumes).toEqual(["a", "b"]);
  });
});

describe("a service that the file no longer has", () => {
  const world = { stacks: [aStack()], services: [aService()] };

  test("stays, and is told as an orphan", () => {
    const plan = apply(aView(world), {});
    expect([plan.orphans, plan.changes]).toEqual([["web"], []]);
  });

  test("is removed when pruning, once", () => {
    const view = aView(world);
    const plan = apply(view, {}, { prune: true });
    expect([lines(plan), plan.orphans]).toEqual([["remove shop/web no longer in the file"], []]);
    after(view, plan);
    expect(view.serviceNamed("shop", "web")?.removing).toBe(true);
    expect(apply(view, {}, { prune: true }).changes).toEqual([]);
    expect(apply(view, {}).orphans).toEqual([]);
  });
});

describe("all of it or nothing: a plan with a problem changes nothing", () => {
  test("while the stack is being removed", () => {
    const plan = apply(aView({ stacks: [aStack("shop", { removing: true })] }), { web: aSpec() });
    expect([plan.problems, plan.changes]).toEqual([
      ["stack shop is being removed: try again when it is gone"],
      [],
    ]);
  });

  test("while one of its services is being removed", () => {
    const services = [aService({}, { removing: true })];
    const plan = apply(aView({ stacks: [aStack()], services }), { web: aSpec(), db: aSpec() });
    expect([plan.problems, plan.changes]).toEqual([
      ["service shop/web is being removed: try again when it is gone"],
      [],
    ]);
  });

  test("when another service has a port already", () => {
    const other = aService({ ports: [aPort()] }, { stack: "blog", name: "www" });
    const plan = apply(aView({ services: [other] }), {
      web: aSpec({ ports: [aPort()] }),
      db: aSpec(),
    });
    expect([plan.problems, plan.changes]).toEqual([
      ["shop/web can't publish port 8080/tcp: blog/www does already"],
      [],
    ]);
  });
});

describe("published ports", () => {
  const open = aPort({ published: 0 });
  const publishedBy = (view: MemoryView, name: string) => {
    const service = view.serviceNamed("shop", name);
    return service && specOf(service).ports.map((port) => port.published);
  };

  test("that the file leaves open are the lowest free ones from 30000", () => {
    const other = aService({ ports: [aPort({ published: 30_001 })] }, { stack: "blog" });
    const services = {
      a: aSpec({ ports: [open, { ...open, target: 81 }] }),
      b: aSpec({ ports: [open] }),
    };
    const view = aView({ services: [other] });
    after(view, apply(view, services));
    expect([publishedBy(view, "a"), publishedBy(view, "b")]).toEqual([[30_000, 30_002], [30_003]]);
  });

  test("that were picked once stay, also when a lower one is free again", () => {
    const before = aService({ ports: [aPort({ published: 30_007 })] });
    const view = aView({ stacks: [aStack()], services: [before] });
    expect(apply(view, { web: aSpec({ ports: [open] }) }).changes).toEqual([]);
  });

  test("that were picked make way for one that the file names", () => {
    const before = aService({ ports: [aPort({ published: 30_000 })] });
    const view = aView({ stacks: [aStack()], services: [before] });
    const plan = apply(view, {
      api: aSpec({ ports: [aPort({ published: 30_000 })] }),
      web: aSpec({ ports: [open] }),
    });
    expect(plan.problems).toEqual([]);
    after(view, plan);
    expect([publishedBy(view, "api"), publishedBy(view, "web")]).toEqual([[30_000], [30_001]]);
  });

  test("for udp and tcp do not meet", () => {
    const view = aView({ services: [aService({ ports: [aPort()] }, { stack: "blog" })] });
    expect(apply(view, { web: aSpec({ ports: [aPort({ protocol: "udp" })] }) }).problems).toEqual(
      [],
    );
  });

  test("of mode host may be shared, since placement keeps the tasks apart", () => {
    const host = aPort({ mode: "host" });
    const view = aView({ services: [aService({ ports: [host] }, { stack: "blog" })] });
    expect(apply(view, { web: aSpec({ ports: [host] }) }).problems).toEqual([]);
    expect(apply(view, { web: aSpec({ ports: [aPort()] }) }).problems).toHaveLength(1);
  });

  test("that two services of one file want are told for the second", () => {
    const plan = apply(aView({}), {
      web: aSpec({ ports: [aPort()] }),
      api: aSpec({ ports: [aPort()] }),
    });
    expect(plan.problems).toEqual(["shop/web can't publish port 8080/tcp: shop/api does already"]);
  });

  test("move from one service of the stack to another in one go", () => {
    const before = [
      aService({ ports: [aPort()] }, { id: anId("a"), name: "a" }),
      aService({}, { id: anId("b"), name: "b" }),
    ];
    const plan = apply(aView({ stacks: [aStack()], services: before }), {
      a: aSpec(),
      b: aSpec({ ports: [aPort()] }),
    });
    expect(plan.problems).toEqual([]);
  });

  test("that can't be picked are told", () => {
    const ports = Array.from({ length: 2768 }, (_, i) => aPort({ published: 30_000 + i }));
    const view = aView({ services: [aService({ ports }, { stack: "blog" })] });
    expect(apply(view, { web: aSpec({ ports: [open] }) }).problems).toEqual([
      "no port from 30000 to 32767 is free",
    ]);
  });
});
