import { describe, expect, test } from "bun:test";
import {
  formatImageReference,
  parseImageReference,
  repositoryFromWire,
  repositoryOf,
  wireNameOf,
} from "../../../../src/core/oci/reference.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;

/** In full, or undefined for what is no name. */
function full(text: string): string | undefined {
  const parsed = parseImageReference(text);
  return parsed.ok ? formatImageReference(parsed.value) : undefined;
}

describe("names of images", () => {
  test("are meant as people write them in Compose files", () => {
    expect(full("web")).toBe("docker.io/library/web:latest");
    expect(full("team/web:1")).toBe("docker.io/team/web:1");
    expect(full("docker.io/web")).toBe("docker.io/library/web:latest");
    expect(full("index.docker.io/web")).toBe("docker.io/library/web:latest");
    expect(full("localhost/web:1")).toBe("localhost/web:1");
    expect(full("localhost:5000/web")).toBe("localhost:5000/web:latest");
    expect(full("Registry.Example/a/b__c:V1.x-y")).toBe("registry.example/a/b__c:V1.x-y");
    expect(full(`web@${DIGEST}`)).toBe(`docker.io/library/web@${DIGEST}`);
    expect(full(`web:1@${DIGEST}`)).toBe(`docker.io/library/web@${DIGEST}`);
    expect(full("a.b/c")).toBe("a.b/c:latest");
    expect(full("web:_1")).toBe("docker.io/library/web:_1");
    expect(full("0/1/2:3")).toBe("docker.io/0/1/2:3");
    expect(full("a__b/c--d/e.f:latest")).toBe("docker.io/a__b/c--d/e.f:latest");
    expect(full("LOCALHOST/web")).toBe("localhost/web:latest");
    expect(full("[2001:db8::1]:5000/web:1")).toBe("[2001:db8::1]:5000/web:1");
  });

  test("in illegal forms are refused", () => {
    const illegal = [
      "",
      ":1",
      "web:",
      "web@sha256:1",
      "Web/x/..",
      "a//b",
      "web:a b",
      "-web",
      "/web",
      "web/",
      "a..b",
      "a___b",
      "web:.1",
      "web:1:2",
      "web@",
      "@",
      "host:port/web",
      "host:123456/web",
      "[::1/web",
      "wéb",
      "web\n",
      "docker://web",
      `web@sha512:${"a".repeat(128)}`,
      `web@${DIGEST.toUpperCase()}`,
    ];
    const long = ["a".repeat(300), `web:${"t".repeat(129)}`, `web@${DIGEST}@${DIGEST}`, "we b"];
    for (const text of [...illegal, ...long]) expect([text, full(text)]).toEqual([text, undefined]);
  });

  test("come back from how a registry calls them", () => {
    for (const text of ["web", "localhost/web", "host:5000/a/b", "192.0.2.1:5000/web"]) {
      const parsed = parseImageReference(text);
      if (!parsed.ok) throw new Error(parsed.problem);
      const repository = repositoryOf(parsed.value);
      expect(repositoryFromWire(wireNameOf(repository))).toBe(repository);
    }
    expect(wireNameOf("[2001:db8::1]:5000/web")).toBe("ip6-2001-db8--1__5000/web");
    expect(repositoryFromWire("ip6-2001-db8--1__5000/web")).toBe("[2001:db8::1]:5000/web");
    expect(repositoryFromWire("ip6-2001-db8--1/web")).toBe("[2001:db8::1]/web");
    expect(repositoryFromWire("a__b__1/web")).toBeUndefined();
    expect(repositoryFromWire("web")).toBe("docker.io/library/web");
  });
});
