import { describe, expect, test } from "bun:test";
import { parseIngressHost, parseIngressPath } from "../../../src/model/ingress-rule.ts";
import { ingressUrls } from "../../../src/model/ingress-url.ts";
import { sameTemplate } from "../../../src/model/service.ts";
import { anIngressRule, aSpec } from "../../builders.ts";

describe("a host of the ingress", () => {
  test.each([
    ["Shop.Example.ORG.", "shop.example.org"],
    ["*.example.org", "*.example.org"],
    ["*", "*"],
    ["localhost", "localhost"],
    ["192.0.2.1", "192.0.2.1"],
    ["xn--bcher-kva.example", "xn--bcher-kva.example"],
  ])("%p is %p", (text, value) => {
    expect(parseIngressHost(text)).toEqual({ ok: true, value });
  });

  test.each(["", ".", "a..b", "-a", "a-", "a_b", "*a.b", "a.*", "**", "a b", "a/b", "a:1", "é.fr"])(
    "%p is none",
    (text) => {
      expect(parseIngressHost(text).ok).toBe(false);
    },
  );

  test("is no name of the cluster's servers, whose certificate nodes believe", () => {
    for (const host of ["server.orchd", "SERVER.orchd.", "*.orchd"]) {
      expect(parseIngressHost(host).ok).toBe(false);
    }
  });
});

describe("a path of the ingress", () => {
  test.each([
    ["/", "/"],
    ["/api/", "/api"],
    ["/a/b.c/~d", "/a/b.c/~d"],
  ])("%p is %p", (text, value) => {
    expect(parseIngressPath(text)).toEqual({ ok: true, value });
  });

  test.each(["", "api", "//", "/a//b", "/a/../b", "/.", "/a?b", "/a#b", "/a%20b", "/a b", "/a\\b"])(
    "%p is none",
    (text) => {
      expect(parseIngressPath(text).ok).toBe(false);
    },
  );
});

test("an address has the nodes' port, where that is not the usual one and the same on all", () => {
  const rules = [
    anIngressRule({ host: "a", tls: "cluster" }),
    anIngressRule({ host: "b", path: "/x" }),
  ];
  const on = (http: number, https: number) => ({ ingress: { http, https, problems: [] } });
  expect(ingressUrls(rules, [])).toEqual(["https://a/", "http://b/x"]);
  expect(ingressUrls(rules, [on(80, 443)])).toEqual(["https://a/", "http://b/x"]);
  expect(ingressUrls(rules, [on(8080, 8443), on(0, 8443)])).toEqual([
    "https://a:8443/",
    "http://b:8080/x",
  ]);
  expect(ingressUrls(rules, [on(8080, 443), on(8081, 443)])).toEqual(["https://a/", "http://b/x"]);
  expect(ingressUrls(undefined, [])).toEqual([]);
});

test("a change of its rules replaces no task", () => {
  expect(sameTemplate(aSpec(), aSpec({ ingress: [anIngressRule()] }))).toBe(true);
});
