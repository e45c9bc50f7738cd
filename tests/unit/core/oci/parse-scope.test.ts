import { describe, expect, test } from "bun:test";
import { parseRegistryScope } from "../../../../src/core/oci/parse-scope.ts";
import { formatRegistryScope, isInScope } from "../../../../src/model/registry-scope.ts";

describe("a scope of a token for images", () => {
  test.each([
    ["repository:web:pull", "repository:docker.io/library/web:pull"],
    ["repository:team/web:pull,push", "repository:docker.io/team/web:pull,push"],
    ["repository:team/*:push,push", "repository:docker.io/team/*:push"],
    ["repository:*:*", "repository:*:pull,push,delete"],
    ["repository:localhost:5000/web:delete", "repository:localhost:5000/web:delete"],
    ["repository:quay.io/*:pull", "repository:quay.io/*:pull"],
    ["repository:localhost:5000/*:pull", "repository:localhost:5000/*:pull"],
  ])("%s is %s", (text, whole) => {
    const parsed = parseRegistryScope(text);
    expect(parsed.ok && formatRegistryScope(parsed.value)).toBe(whole);
  });

  test.each([
    ["", "write it like"],
    ["repository:team/web", "write it like"],
    ["registry:catalog:*", "write it like"],
    ["repository:team/web:run", "the actions are"],
    ["repository:team/web:", "write it like"],
    ["repository:team/web:pull,", "the actions are"],
    ["repository:Team/Web/*:pull", "its name is none"],
    ["repository:team/web:latest:pull", "its name is none"],
    ["repository:team/web:1:pull", "its name is none"],
    [`repository:web@sha256:${"0".repeat(64)}:pull`, "its name is none"],
    ["repository:te*m/web:pull", "its name is none"],
    ["repository:/*:pull", "its name is none"],
  ])("%s is none", (text, why) => {
    const parsed = parseRegistryScope(text);
    expect(parsed.ok ? "" : parsed.problem).toContain(why);
  });

  test("holds for what it names, and not for what begins alike", () => {
    const scopes = [
      { repository: "docker.io/team/*", actions: ["pull" as const] },
      { repository: "docker.io/library/web", actions: ["push" as const] },
    ];
    expect(isInScope(scopes, "pull", "docker.io/team/web")).toBe(true);
    expect(isInScope(scopes, "pull", "docker.io/team/a/b")).toBe(true);
    expect(isInScope(scopes, "push", "docker.io/team/web")).toBe(false);
    expect(isInScope(scopes, "pull", "docker.io/team")).toBe(false);
    expect(isInScope(scopes, "pull", "docker.io/teammate/web")).toBe(false);
    expect(isInScope(scopes, "push", "docker.io/library/web")).toBe(true);
    expect(isInScope(scopes, "push", "docker.io/library/web2")).toBe(false);
    expect(isInScope([], "pull", "docker.io/team/web")).toBe(false);
  });
});
