import { describe, expect, test } from "bun:test";
import { chooseRuntime, type RuntimeKind } from "../../../src/runtime/open.ts";

test("a runtime that is named is taken, whatever is there", () => {
  expect(chooseRuntime("docker", { podman: "/run/p.sock" })).toBe("docker");
});

test("of those whose sockets were given Podman comes first, then containerd, then Docker", () => {
  const [podman, containerd, docker] = ["/run/p.sock", "/run/c.sock", "/run/d.sock"];
  expect(chooseRuntime("auto", { podman, containerd, docker })).toBe("podman");
  expect(chooseRuntime("auto", { containerd, docker })).toBe("containerd");
  expect(chooseRuntime("auto", { docker })).toBe("docker");
});

describe("where nothing is said the machine's own is taken", () => {
  const machine = (...there: string[]) => ({
    podman: () => there.includes("podman"),
    containerd: () => there.includes("containerd"),
    docker: () => there.includes("docker"),
  });
  const cases: [there: string[], taken: RuntimeKind][] = [
    [["podman", "containerd", "docker"], "podman"],
    [["containerd", "docker"], "containerd"],
    [["docker"], "docker"],
  ];
  for (const [there, taken] of cases) {
    test(`of ${there.join(", ")} that is ${taken}`, () => {
      expect(chooseRuntime("auto", {}, ["/usr/bin"], machine(...there))).toBe(taken);
    });
  }

  test("of none it is processes alone, where they are allowed", () => {
    expect(chooseRuntime("auto", {}, ["/usr/bin"], machine())).toBe("process");
    expect(() => chooseRuntime("auto", {}, undefined, machine())).toThrow(
      /^this machine has neither Podman nor containerd nor Docker: install one \(Debian: apt/,
    );
  });
});
