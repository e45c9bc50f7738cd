import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeTar } from "../../../scripts/tar.ts";
import { FakeIo, run } from "./fake-io.ts";
import { FakeServer, problem, type Routes } from "./fake-server.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;
const cwd = mkdtempSync(join(tmpdir(), "orchd-image-"));

let server: FakeServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
  rmSync(join(cwd, "saved.tar"), { force: true });
});

afterAll(() => rmSync(cwd, { recursive: true }));

async function ask(routes: Routes, ...argv: string[]) {
  await server?.stop();
  server = new FakeServer(routes);
  const io = new FakeIo({ cwd });
  io.env["ORCHD_SOCKET"] = server.socketPath;
  return run(["image", ...argv], io);
}

describe("orchd image ls", () => {
  test("lists what the site keeps, and with --nodes what each node has", async () => {
    const kept = [
      {
        reference: "localhost/web:1",
        digest: DIGEST,
        sizeBytes: 2_000_000,
        at: 0,
        platforms: ["linux/amd64", "linux/arm64"],
      },
    ];
    const images = [{ id: DIGEST, references: [], sizeBytes: 5, createdAt: 0 }];
    const routes: Routes = {
      "GET /v1/images/kept": () => kept,
      "GET /v1/images": () => [{ node: "n1", images }],
    };
    const { out } = await ask(routes, "ls");
    expect(out).toMatch(/^IMAGE .*\nlocalhost\/web:1 +a{12} +.*linux\/amd64, linux\/arm64/);
    expect((await ask(routes, "ls", "--nodes")).out).toMatch(/\nn1 +<none> +a{12} /);
    const { out: json } = await ask(routes, "ls", "--json");
    expect(JSON.parse(json)).toEqual(kept);
    expect((await ask({ "GET /v1/images/kept": () => [] }, "ls")).err).toContain(
      "The site keeps no image",
    );
  });
});

describe("orchd image where", () => {
  test("finds a name however it is spelt", async () => {
    const of = (reference: string) => [
      { id: "1", references: [reference], sizeBytes: 1, createdAt: 0 },
    ];
    const routes: Routes = {
      "GET /v1/images": () => [
        { node: "n1", images: of("docker.io/library/web:latest") },
        { node: "n2", images: of("docker.io/library/db:latest") },
      ],
    };
    const { out } = await ask(routes, "where", "web");
    expect([out.includes("n1"), out.includes("n2")]).toEqual([true, false]);
    expect((await ask(routes, "where", "other")).err).toBe("No connected node has it.\n");
  });
});

describe("orchd image rm and prune", () => {
  test("tell how much is free, and why an image stays", async () => {
    const routes: Routes = {
      "DELETE /v1/images/kept": () => ({ freedBytes: 2_000_000 }),
      "POST /v1/images/prune": () => ({ freedBytes: 0 }),
    };
    const { out } = await ask(routes, "rm", "web:1", "--force");
    expect(out).toMatch(/^web:1 is removed: .* are free\n$/);
    expect(server?.requests.at(-1)?.path).toBe("/v1/images/kept?reference=web%3A1&force=true");
    expect((await ask(routes, "prune")).out).toMatch(/ are free\n$/);
    const stays: Routes = { "DELETE /v1/images/kept": () => problem("conflict", "it stays") };
    expect(await ask(stays, "rm", "web:1")).toMatchObject({ code: 1, err: "it stays\n" });
  });
});

describe("orchd image pull", () => {
  test("asks for nodes with all the labels, and takes nothing else for one", async () => {
    const nodes = [{ node: "n1", references: ["localhost/web:1"] }];
    const routes: Routes = {
      "POST /v1/images/fetch": () => ({ references: ["localhost/web:1"], nodes }),
    };
    const words = ["pull", "localhost/web:1", "--on", "zone=hall", "--on", "arm=a=b"];
    expect((await ask(routes, ...words)).out).toBe("localhost/web:1 is loaded on n1\n");
    expect(JSON.parse(server?.requests.at(-1)?.body ?? "")).toEqual({
      references: ["localhost/web:1"],
      labels: { zone: "hall", arm: "a=b" },
    });
    const nobody: Routes = {
      "POST /v1/images/fetch": () => ({ references: ["localhost/web:1"], nodes: [] }),
    };
    expect((await ask(nobody, ...words)).err).toBe("No connected node has all these labels.\n");
    expect((await ask({}, "pull", "web", "--on", "zone")).code).toBe(2);
  });
});

describe("orchd image save", () => {
  const archive = writeTar([{ name: "a", type: "file", mode: 0o644, content: Buffer.from("b") }]);

  test("saves an archive that is whole, under its name", async () => {
    const routes: Routes = { "GET /v1/images/archive": () => new Response(archive) };
    const { code, err } = await ask(routes, "save", "web:1", "db:2", "saved.tar");
    expect([code, err]).toEqual([0, expect.stringContaining("saved in saved.tar: 2 images")]);
    expect(readFileSync(join(cwd, "saved.tar")).equals(archive)).toBe(true);
    expect(server?.requests.at(-1)?.path).toBe(
      "/v1/images/archive?reference=web%3A1&reference=db%3A2",
    );
  });

  test("leaves nothing of one that is cut off", async () => {
    const half = archive.subarray(0, 600);
    const routes: Routes = { "GET /v1/images/archive": () => new Response(half) };
    const { code, err } = await ask(routes, "save", "web:1", "saved.tar");
    expect([code, err]).toEqual([1, "what came is not the whole archive: try again\n"]);
    expect(existsSync(join(cwd, "saved.tar"))).toBe(false);
  });

  test("asks for a file behind the names", async () => {
    expect((await ask({}, "save", "web:1")).code).toBe(2);
  });
});
