import { describe, expect, test } from "bun:test";
import { RouteTable } from "../../../../src/core/ingress/route-table.ts";
import type { IngressRule } from "../../../../src/model/ingress-rule.ts";
import { anId, aMapService, aMapTask, anIngressRule } from "../../../builders.ts";

function tableOf(...rules: Partial<IngressRule>[]): RouteTable {
  const services = rules.map((rule, i) => {
    const name = `s${i}`;
    return aMapService(name, { ingress: [anIngressRule(rule)] });
  });
  return RouteTable.of({ services, tasks: [] });
}

describe("routes", () => {
  const table = tableOf(
    { host: "shop.example.org", path: "/" },
    { host: "shop.example.org", path: "/api" },
    { host: "shop.example.org", path: "/api/v2" },
    { host: "*.example.org", path: "/" },
    { host: "deep.example.org", path: "/only/here" },
    { host: "*", path: "/status" },
  );

  test.each([
    ["shop.example.org", "/", "shop.example.org/"],
    ["shop.example.org", "/apis", "shop.example.org/"],
    ["shop.example.org", "/api", "shop.example.org/api"],
    ["shop.example.org", "/api/", "shop.example.org/api"],
    ["shop.example.org", "/api/v1/x", "shop.example.org/api"],
    ["shop.example.org", "/api/v2/x/y/z", "shop.example.org/api/v2"],
    ["shop.example.org", "//api", "shop.example.org/"],
    ["other.example.org", "/api", "*.example.org/"],
    ["a.b.example.org", "/", undefined],
    ["example.org", "/", undefined],
    ["deep.example.org", "/only/here/now", "deep.example.org/only/here"],
    ["deep.example.org", "/only", "*.example.org/"],
    ["elsewhere", "/status/x", "*/status"],
    ["elsewhere", "/", undefined],
    ["", "/status", "*/status"],
    ["__proto__", "/constructor", undefined],
  ])("for %p and %p lead to %p", (host, path, expected) => {
    const rule = table.find(host, path)?.rule;
    expect(rule && `${rule.host}${rule.path}`).toBe(expected);
  });

  test("have the tasks that are ready, each on the port of its own revision", () => {
    const rule = anIngressRule({ host: "a", port: 8080 });
    const services = [aMapService("web", { ingress: [rule] })];
    const tasks = [
      aMapTask("new", { address: "10.210.1.2" }),
      aMapTask("starts", { address: "10.210.1.3", isReady: false }),
      aMapTask("old", {
        address: "10.210.2.2",
        ingress: [{ ...rule, port: 80 }],
      }),
      aMapTask("another", { serviceId: anId("db"), address: "10.210.1.4" }),
    ];
    const keys = RouteTable.of({ services, tasks })
      .find("a", "/")
      ?.endpoints.map(({ key }) => key);
    expect(keys).toEqual(["10.210.1.2:8080", "10.210.2.2:80"]);
  });

  test("belong to the older of two services that have the same rule", () => {
    const [first, second] = tableOf({ host: "a" }, { host: "a" }).routes;
    expect([first?.service, second]).toEqual(["shop/s0", undefined]);
  });

  test("are found by looks that depend on the request alone", () => {
    const many = tableOf(
      ...Array.from({ length: 5000 }, (_, i) => ({ host: `h${i}.example`, path: "/" })),
      ...Array.from({ length: 5000 }, (_, i) => ({ host: "one.example", path: `/p${i}/x` })),
    );
    expect(many.find("h4999.example", "/a")?.rule.host).toBe("h4999.example");
    expect(many.find("one.example", "/p4999/x/y")?.rule.path).toBe("/p4999/x");
    expect(many.find("one.example", `/${"a/".repeat(10_000)}`)).toBeUndefined();
  });

  test("tell which hosts have certificates, and from which files", () => {
    const file = (name: string, number: number) => {
      return { kind: "secret" as const, name, content: { id: anId<"item">(name), number } };
    };
    const files = { certificate: file("c", 2), key: file("k", 7) };
    const named = `${anId("c")}.2 ${anId("k")}.7`;
    const hosts = tableOf(
      { host: "b", tls: "cluster" },
      { host: "b", path: "/x", tls: "file", files },
      { host: "a", tls: "file", files },
      { host: "a", path: "/x", tls: "cluster" },
      { host: "c", tls: "file" },
    ).certifiedHosts();
    expect(hosts).toEqual([
      { host: "a", files: named },
      { host: "b", files: named },
    ]);
  });

  test("tell which hosts have certificates of the cluster", () => {
    const hosts = tableOf(
      { host: "b", tls: "cluster" },
      { host: "a", tls: "cluster" },
      { host: "a", path: "/x", tls: "cluster" },
      { host: "c" },
    ).certifiedHosts();
    expect(hosts).toEqual([{ host: "a" }, { host: "b" }]);
  });
});
