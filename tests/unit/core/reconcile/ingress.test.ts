import { describe, expect, test } from "bun:test";
import { problemsOfRules } from "../../../../src/core/reconcile/ingress.ts";
import type { ServiceSpec } from "../../../../src/model/service.ts";
import { aNode, anIngressRule, aPort, aService, aSpec, aView } from "../../../builders.ts";

const node = aNode("n1", { ingress: { http: 80, https: 443, problems: [] } });

/** What is said to a stack `shop` with these services while `cms/site` has these rules. */
function problems(
  services: Record<string, Partial<ServiceSpec>>,
  site: Partial<ServiceSpec> = {},
): string[] {
  const other = aService(site, { stack: "cms", name: "site" });
  const specs = Object.entries(services).map(([name, spec]) => [name, aSpec(spec)] as const);
  const view = aView({ nodes: [node], services: [other] });
  return problemsOfRules(view, "shop", Object.fromEntries(specs));
}

describe("a rule of the ingress", () => {
  test("that another service has is refused with its name", () => {
    const ingress = [anIngressRule({ host: "a", path: "/x" })];
    expect(problems({ web: { ingress } }, { ingress })).toEqual([
      "shop/web can't take a/x: cms/site does already",
    ]);
    expect(problems({ web: { ingress }, api: { ingress } })).toEqual([
      "shop/web can't take a/x: shop/api does already",
    ]);
  });

  test("for another host or path of the same is taken", () => {
    const site = { ingress: [anIngressRule({ host: "a", path: "/" })] };
    const rules = [{ host: "a", path: "/x" }, { host: "b" }, { host: "*" }];
    expect(problems({ web: { ingress: rules.map(anIngressRule) } }, site)).toEqual([]);
  });

  test("and a port that is published where nodes take requests do not go together", () => {
    const ingress = [anIngressRule({ host: "a" })];
    const publishing = (published: number) => ({ ports: [aPort({ published })] });
    const sentence =
      "can't publish port 80/tcp while nodes take requests for x-orchd.ingress on it: publish " +
      "another port, or see --ingress-http and --ingress-https";
    expect(problems({ web: publishing(80) }, { ingress })).toEqual([`shop/web ${sentence}`]);
    expect(problems({ web: { ingress } }, publishing(80))).toEqual([`cms/site ${sentence}`]);
    expect(problems({ web: publishing(443) }, { ingress })).toEqual([]);
    expect(problems({ web: publishing(80) })).toEqual([]);
  });
});
