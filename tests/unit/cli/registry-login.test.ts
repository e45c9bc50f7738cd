import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readLogin } from "../../../src/cli/registry-login.ts";
import { FakeIo } from "./fake-io.ts";

const auth = (text: string) => ({ auth: Buffer.from(text).toString("base64") });

async function loginIn(text: string, repository = "reg.example/team/web"): Promise<unknown> {
  const dir = mkdtempSync(join(tmpdir(), "orchd-login-"));
  try {
    const file = join(dir, "login");
    writeFileSync(file, text);
    return await readLogin(new FakeIo(), file, repository).catch((error: unknown) =>
      String(error).replace(file, "FILE"),
    );
  } finally {
    rmSync(dir, { recursive: true });
  }
}

describe("a login for a registry", () => {
  test("is a name and a password", async () => {
    expect(await loginIn("me:a:b\n")).toEqual({ username: "me", password: "a:b" });
  });

  test("is what docker login or podman login wrote, by the longest name that fits", async () => {
    const auths = { "reg.example": auth("all:1"), "reg.example/team": auth("team:2") };
    const text = JSON.stringify({ auths });
    expect(await loginIn(text)).toEqual({ username: "team", password: "2" });
    expect(await loginIn(text, "reg.example/web")).toEqual({ username: "all", password: "1" });
    const hub = JSON.stringify({ auths: { "https://index.docker.io/v1/": auth("hub:3") } });
    expect(await loginIn(hub, "docker.io/library/web")).toEqual({ username: "hub", password: "3" });
  });

  test.each([
    ["a secret", "the login in FILE is none: write it like NAME:PASSWORD"],
    ["", "the login in FILE is none: write it like NAME:PASSWORD"],
    ["{a secret", "the login in FILE is none: it has no `auths` that make sense"],
    ['{"auths":{"other":{}}}', "the login in FILE has nothing for reg.example/team/web"],
    ['{"auths":{"reg.example":{}}}', "the login in FILE has nothing for reg.example/team/web"],
  ])("%s is none, and is not repeated", async (text, told) => {
    expect(await loginIn(text)).toBe(`OrchdError: ${told}`);
  });
});
