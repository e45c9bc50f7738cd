import { expect, test } from "bun:test";
import { chooseRuntime } from "../../../src/runtime/open.ts";

test("a runtime that is named is taken, whatever is there", () => {
  expect(chooseRuntime("docker", { podman: "/run/p.sock" })).toBe("docker");
});

test("of those whose sockets were given Podman comes first, then containerd, then Docker", () => {
  const [podman, containerd, docker] = ["/run/p.sock", "/run/c.sock", "/run/d.sock"];
  expect(chooseRuntime("auto", { podman, containerd, docker })).toBe("podman");
  expect(chooseRuntime("auto", { containerd, docker })).toBe("containerd");
  expect(chooseRuntime("auto", { docker })).toBe("docker");
});
