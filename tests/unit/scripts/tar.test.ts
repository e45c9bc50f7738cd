import { expect, test } from "bun:test";
import { writeTar } from "../../../scripts/tar.ts";

test("an archive holds what was put in, as another reader sees it", async () => {
  const content = Buffer.from("#!/bin/sh\n");
  const archive = writeTar([
    { name: "bin/", type: "folder", mode: 0o755 },
    { name: "bin/serve", type: "file", mode: 0o755, content },
    { name: "bin/sh", type: "link", target: "/bin/busybox" },
  ]);
  const files = await new Bun.Archive(archive).files();
  expect(await files.get("bin/serve")?.text()).toBe("#!/bin/sh\n");
  expect(archive.length % 512).toBe(0);
});

test("the same entries give the same bytes", () => {
  const make = () =>
    writeTar([{ name: "a", type: "file", mode: 0o644, content: Buffer.from("x") }]);
  expect(Buffer.from(make()).equals(make())).toBe(true);
});

test("a name that does not fit is refused", () => {
  expect(() => writeTar([{ name: "x".repeat(101), type: "folder", mode: 0o755 }])).toThrow(
    "too long",
  );
});
