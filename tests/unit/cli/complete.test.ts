import { afterEach, describe, expect, test } from "bun:test";
import { FakeIo, run } from "./fake-io.ts";
import { FakeServer, type Routes } from "./fake-server.ts";
import { aServiceSummary, aTaskSummary } from "./samples.ts";

let server: FakeServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

const cluster: Routes = {
  "GET /v1/stacks": () => [{ name: "shop" }, { name: "blog" }],
  "GET /v1/services": () => [
    aServiceSummary(),
    aServiceSummary({ name: "db" }),
    aServiceSummary({ stack: "blog", name: "db" }),
  ],
  "GET /v1/tasks": () => [aTaskSummary()],
  "GET /v1/nodes": () => [{ hostname: "n1" }],
  "GET /v1/networks": () => [{ name: "shop_default" }],
  "GET /v1/secrets": () => [{ name: "shop_pass" }, { name: "token" }],
  "GET /v1/configs": () => [{ name: "nginx" }],
};

/** What could stand at the end of the line, without descriptions. */
async function complete(line: string, io = new FakeIo()): Promise<string[]> {
  server ??= new FakeServer(cluster);
  io.env["ORCHD_SOCKET"] ??= server.socketPath;
  const { code, out } = await run(["__complete", "--", ...line.split(" ")], io);
  expect(code).toBe(0);
  return out.split("\n").flatMap((text) => (text === "" ? [] : [text.split("\t")[0] ?? ""]));
}

test("commands are completed", async () => {
  expect(await complete("s")).toEqual(["server", "services", "scale", "secret"]);
  expect(await complete("nothing here")).toEqual([]);
});

test("options are completed, and the values of those that have a few", async () => {
  expect(await complete("logs --t")).toEqual(["--tail", "--timestamps"]);
  const runtimes = ["auto", "podman", "containerd", "docker", "process", "fake"];
  expect(await complete("server --runtime ")).toEqual(runtimes);
  expect(await complete("up --timeout ")).toEqual([]);
});

test("files are left to the shell", async () => {
  expect(await complete("up -f ")).toEqual([":file"]);
  expect(await complete("check comp")).toEqual([":file"]);
  expect(await complete("image load ")).toEqual([":file"]);
});

test("subcommands are completed", async () => {
  expect(await complete("image l")).toEqual(["load", "ls"]);
  expect(await complete("node d")).toEqual(["drain"]);
  expect(await complete("image ls ")).toEqual([]);
  expect(await complete("completion z")).toEqual(["zsh"]);
});

test("names come from the cluster; a short one only where it is clear", async () => {
  expect(await complete("down s")).toEqual(["shop"]);
  expect(await complete("secret inspect ")).toEqual(["shop_pass", "token"]);
  expect(await complete("config rm n")).toEqual(["nginx"]);
  expect(await complete("secret update token ")).toEqual([":file"]);
  expect(await complete("down shop ")).toEqual([]);
  expect(await complete("restart ")).toEqual(["shop/web", "shop/db", "blog/db", "web"]);
  expect(await complete("restart shop/")).toEqual(["shop/web", "shop/db"]);
  expect(await complete("scale w")).toEqual(["web="]);
  expect(await complete("scale web=2 shop/d")).toEqual(["shop/db="]);
  expect(await complete("exec ")).toEqual(["shop/web.1"]);
  expect(await complete("explain n")).toEqual(["n1"]);
  expect(await complete("node drain ")).toEqual(["n1"]);
  expect(await complete("network inspect ")).toEqual(["shop_default"]);
  expect(await complete("logs -f shop/web")).toEqual(["shop/web", "shop/web.1"]);
});

test("without a server there are no names and no error", async () => {
  expect(await complete("down ", new FakeIo({ env: { ORCHD_SOCKET: "/no" } }))).toEqual([]);
});

test("the server that the line names is asked", async () => {
  server = new FakeServer(cluster);
  const io = new FakeIo({ env: { ORCHD_SOCKET: "/no" } });
  expect(await complete(`down --socket ${server.socketPath} b`, io)).toEqual(["blog"]);
});

describe("the script", () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    test(`of ${shell} asks orchd`, async () => {
      const { code, out } = await run(["completion", shell]);
      expect(code).toBe(0);
      expect(out).toContain("__complete --");
      expect(out).not.toContain("\\${");
    });
  }

  test("of bash completes words, also behind a =", async () => {
    const { out } = await run(["completion", "bash"]);
    const answer = "web-app=\\tsays nothing\\nweb-db=\\n";
    const check = [
      out,
      `orchd() { printf '${answer}'; }`,
      'COMP_LINE="orchd scale web" COMP_POINT=15 COMP_WORDS=(orchd scale web) COMP_CWORD=2',
      '_orchd 2>/dev/null; echo "${COMPREPLY[*]}"',
    ].join("\n");
    const ran = Bun.spawnSync(["bash", "--norc", "-c", check]);
    expect(ran.stdout.toString()).toBe("web-app= web-db=\n");
  });
});
