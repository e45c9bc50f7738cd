import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FakeIo, run } from "./fake-io.ts";
import { FakeServer, openLines, problem, type Routes } from "./fake-server.ts";
import { aProgress, aReadyService, aServiceSummary, aTaskSummary } from "./samples.ts";

const directory = mkdtempSync(join(tmpdir(), "orchd-up-"));
afterAll(() => rmSync(directory, { recursive: true }));
let server: FakeServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

const GOOD = 'name: shop\nservices:\n  web:\n    image: web:1\n    restart: "no"\n';
const BAD = "name: shop\nservices:\n  web:\n    imagee: web:1\n  db:\n    image: 7\n";
writeFileSync(join(directory, "compose.yaml"), GOOD);
writeFileSync(join(directory, "bad.yaml"), BAD);

async function ask(routes: Routes, argv: string[], io = new FakeIo({ cwd: directory })) {
  server = new FakeServer(routes);
  io.env["ORCHD_SOCKET"] = server.socketPath;
  return run(argv, io);
}

const plan = [{ action: "create", service: "shop/web", detail: "image web:1" }];
const result = { stack: "shop", plan, orphans: [] };
const port = { target: 80, published: 8080, protocol: "tcp", mode: "ingress" } as const;
const begun = aProgress([aServiceSummary()]);
const done = aProgress([aReadyService({ ports: [port] })]);
const routes: Routes = {
  "PUT /v1/stacks/shop": () => result,
  "GET /v1/stacks/shop/progress": () => openLines(begun, done),
};

describe("orchd up", () => {
  test("sends the stack and waits until it has converged", async () => {
    const { code, out, err } = await ask(routes, ["up"]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toBe(
      "shop/web: starting, 0 of 3 ready\nshop/web: ready, 3 of 3 ready\n" +
        "stack shop has converged\nshop/web answers on 127.0.0.1:8080\n",
    );
    const { body, path } = server?.requests[0] ?? {};
    expect(path).toBe("/v1/stacks/shop");
    expect(JSON.parse(body ?? "")).toMatchObject({
      services: { web: { container: { image: "web:1" } } },
    });
  });

  test("on a terminal draws one line for each service in place", async () => {
    const io = new FakeIo({ isTerminal: true, cwd: directory, env: { NO_COLOR: "1" } });
    const { code, out } = await ask(routes, ["up"], io);
    expect(code).toBe(0);
    expect(out).toContain("shop/web  starting       0/3");
    expect(out).toContain("\u001b[1A");
    expect(out).toEndWith("stack shop has converged\nshop/web answers on 127.0.0.1:8080\n");
  });

  test("reads standard input, under the name that it is given", async () => {
    const io = new FakeIo({ input: GOOD, cwd: directory });
    const named = { "PUT /v1/stacks/store": () => ({ ...result, stack: "store" }) };
    const { code } = await ask(named, ["up", "-f", "-", "--name", "store", "-d"], io);
    expect(code).toBe(0);
  });

  test("prints every error with its place, and asks no server", async () => {
    const { code, err } = await ask(routes, ["up", "-f", "bad.yaml"]);
    expect(code).toBe(1);
    expect(err).toContain("bad.yaml:4:5");
    expect(err).toContain("bad.yaml:6:");
    expect(err).toEndWith("Nothing was changed: correct 2 errors first.\n");
    expect(server?.requests).toEqual([]);
  });

  for (const path of [".", "/dev/zero", "none.yaml"]) {
    test(`refuses ${path}, which is no file`, async () => {
      const { code, err } = await ask(routes, ["up", "-f", path]);
      expect(code).toBe(1);
      expect(err).toStartWith(`can't read ${path}: `);
    });
  }

  test("with --dry-run prints the plan, and does not follow", async () => {
    const { code, out } = await ask(routes, ["up", "--dry-run", "--prune"]);
    expect({ code, out }).toEqual({
      code: 0,
      out: "ACTION  SERVICE   CHANGE\ncreate  shop/web  image web:1\n",
    });
    expect(server?.requests.map(({ path }) => path)).toEqual([
      "/v1/stacks/shop?dryRun=true&prune=true",
    ]);
  });

  test("tells of services that the file no longer has", async () => {
    const orphaned = { "PUT /v1/stacks/shop": () => ({ ...result, orphans: ["shop/old"] }) };
    const { err } = await ask(orphaned, ["up", "-d"]);
    expect(err).toStartWith("shop/old is no longer in the file of shop and kept running: --prune");
  });

  test("with --json prints the progress, then the result", async () => {
    const { out } = await ask(routes, ["up", "--json"]);
    const printed = out
      .trim()
      .split("\n")
      .map((text) => JSON.parse(text) as unknown);
    expect(printed).toEqual([begun, done, { ...result, outcome: "done" }]);
  });

  test("ends at the first failure of a service that is never restarted", async () => {
    const failing = aProgress([aServiceSummary({ failures: 1 })]);
    const { code, err } = await ask(
      {
        ...routes,
        "GET /v1/stacks/shop/progress": () => openLines(failing),
        "GET /v1/tasks": () => [aTaskSummary({ state: "failed", message: "exit code 1" })],
      },
      ["up"],
    );
    expect(code).toBe(1);
    expect(err).toContain("failed, and its restart policy is none: exit code 1");
  });

  test("tells what the server refuses", async () => {
    const refusing = { "PUT /v1/stacks/shop": () => problem("conflict", "port 80 is taken") };
    expect(await ask(refusing, ["up"])).toMatchObject({ code: 1, err: "port 80 is taken\n" });
  });
});

describe("orchd check", () => {
  test("tells what each property means, and asks no server", async () => {
    const io = new FakeIo({ cwd: directory, env: { ORCHD_SOCKET: "/no" } });
    const { code, out, err } = await run(["check"], io);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/^LINE +PROPERTY +HERE +MEANING\n/);
    expect(out).toMatch(/^compose.yaml:4 +services\.web\.image +honoured/m);
  });

  test("fails when something is wrong, with its place", async () => {
    const { code, err } = await run(["check", "bad.yaml"], new FakeIo({ cwd: directory }));
    expect(code).toBe(1);
    expect(err).toContain("bad.yaml:4:5");
  });

  test("prints JSON", async () => {
    const { out } = await run(["check", "--json"], new FakeIo({ cwd: directory }));
    expect(JSON.parse(out)).toMatchObject({ name: "shop", problems: [] });
  });
});
