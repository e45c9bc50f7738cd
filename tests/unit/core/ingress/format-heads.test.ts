import { describe, expect, test } from "bun:test";
import { formatRedirect, formatRequest } from "../../../../src/core/ingress/format-heads.ts";
import { parseRequestHead } from "../../../../src/core/ingress/request-head.ts";
import type { Route } from "../../../../src/core/ingress/route-table.ts";
import { stickyLine, stickyTask } from "../../../../src/core/ingress/sticky.ts";
import type { IngressRule } from "../../../../src/model/ingress-rule.ts";
import { anIngressRule } from "../../../builders.ts";

const CLIENT = { address: "192.0.2.7", isSecure: true };

function aRoute(rule: Partial<IngressRule> = {}): Route {
  return { rule: anIngressRule(rule), serviceId: "web1", service: "shop/web", endpoints: [] };
}

function aHead(...lines: string[]) {
  const head = parseRequestHead([...lines, "", ""].join("\r\n"));
  if ("status" in head) throw new Error(head.why);
  return head;
}

describe("the head that a task gets", () => {
  test("tells who the client is and how it came", () => {
    const head = aHead("GET /a?b HTTP/1.1", "Host: a:81", "X-Forwarded-For: 1.2.3.4", "Accept: x");
    expect(formatRequest(head, aRoute(), CLIENT).split("\r\n")).toEqual([
      "GET /a?b HTTP/1.1",
      "Host: a:81",
      "Accept: x",
      "X-Forwarded-For: 192.0.2.7",
      "X-Forwarded-Proto: https",
      "X-Forwarded-Host: a:81",
      "",
      "",
    ]);
  });

  test.each([
    ["/api", "/"],
    ["/api/", "/"],
    ["/api?x=1", "/?x=1"],
    ["/api/a/b?x", "/a/b?x"],
    ["/api//evil.example", "/evil.example"],
  ])("has the path of %p without its prefix: %p", (target, expected) => {
    const head = aHead(`GET ${target} HTTP/1.1`, "Host: a");
    const text = formatRequest(head, aRoute({ path: "/api", strip: true }), CLIENT);
    expect(text).toStartWith(`GET ${expected} HTTP/1.1\r\n`);
    expect(text).toContain("\r\nX-Forwarded-Prefix: /api\r\n");
  });

  test("is of HTTP/1.0 where the client is, so that no chunks come back", () => {
    const text = formatRequest(aHead("GET / HTTP/1.0", "Host: a"), aRoute(), CLIENT);
    expect(text).toStartWith("GET / HTTP/1.0\r\n");
    expect(text).toContain("\r\nConnection: close\r\n");
  });
});

test.each([
  ["Host: a.example", 443, "https://a.example/x?y"],
  ["Host: a.example:80", 443, "https://a.example/x?y"],
  ["Host: a.example:8080", 8443, "https://a.example:8443/x?y"],
])("who comes to %p is sent to %p: %p", (host, port, location) => {
  const text = formatRedirect(aHead("GET /x?y HTTP/1.1", host), port, true);
  expect(text).toContain(`\r\nLocation: ${location}\r\n`);
});

describe("a client's cookie", () => {
  test("names the task, for the path of the rule alone", () => {
    expect(stickyLine(aRoute({ path: "/api" }), "t1", true)).toBe(
      "Set-Cookie: orchd-web1=t1; Path=/api; HttpOnly; SameSite=Lax; Secure\r\n",
    );
  });

  test.each([
    ["orchd-web1=t1", "t1"],
    ["a=b; orchd-web1=t1; c=d", "t1"],
    ["xorchd-web1=t2; orchd-web1=t1", "t1"],
    ["xorchd-web1=t2", undefined],
    ["orchd-web10=t2", undefined],
    ["", undefined],
  ])("of %p names %p", (cookie, expected) => {
    expect(stickyTask(aRoute(), cookie)).toBe(expected);
  });
});
