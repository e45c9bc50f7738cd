import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { UpgradeStatus } from "../../../src/model/upgrade.ts";
import { anId } from "../../builders.ts";
import { FakeIo, run } from "./fake-io.ts";
import { FakeServer, lines, problem, type Routes } from "./fake-server.ts";

const EXECUTABLE = { version: "2.0.0", platform: "linux/amd64", digest: "sha256:2", sizeBytes: 5 };

type State = UpgradeStatus["nodes"][number]["state"];

function status(state: UpgradeStatus["state"], nodes: Record<string, State>): UpgradeStatus {
  return {
    run: "u1",
    to: "2.0.0",
    order: "agentsFirst",
    parallel: 1,
    withinMs: 120_000,
    force: false,
    state,
    startedAt: 0,
    nodes: Object.entries(nodes).map(([node, at]) => ({
      id: anId<"node">(node),
      node,
      state: at,
      version: at === "done" ? "2.0.0" : "1.0.0",
      isServer: false,
      ...(at === "failed" ? { problem: "it hung" } : {}),
    })),
  };
}

let server: FakeServer | undefined;
let file = "";
const begun = status("running", { h1: "preparing", h2: "waiting" });

function serve(routes: Routes = {}): FakeServer {
  server = new FakeServer({
    "POST /v1/executables": () => EXECUTABLE,
    "POST /v1/upgrade": () => begun,
    ...routes,
  });
  file = join(server.directory, "orchd-next");
  writeFileSync(file, "bytes");
  return server;
}

async function upgrade(words: string[], io = new FakeIo()) {
  return run(["upgrade", ...words, "--socket", server?.socketPath ?? ""], io);
}

beforeEach(() => void serve());
afterEach(async () => server?.stop());

async function ended(...statuses: UpgradeStatus[]) {
  await server?.stop();
  serve({ "GET /v1/upgrade/progress": () => lines(...statuses) });
}

describe("orchd upgrade", () => {
  test("says that a server without an agent stays as it is", async () => {
    await ended({ ...status("done", { h1: "done" }), serverVersion: "1.0.0" });
    const { code, err } = await upgrade([file]);
    const told =
      "The server runs with --no-agent, and stays at orchd 1.0.0: " +
      "put 2.0.0 in its place by hand, and restart it.\n";
    expect([code, err]).toEqual([0, expect.stringMatching(new RegExp(`${told}$`))]);
    await ended({ ...status("done", { h1: "done" }), serverVersion: "2.0.0" });
    expect((await upgrade([file])).err).not.toContain("--no-agent");
  });

  test("sends the executable, tells of each node, and ends with the last one", async () => {
    await ended(
      status("running", { h1: "trying", h2: "waiting" }),
      status("running", { h1: "done", h2: "preparing" }),
      status("done", { h1: "done", h2: "done" }),
    );
    const { code, out, err } = await upgrade([file, "--parallel", "2", "--on", "zone=hall"]);
    expect(out).toBe("orchd 2.0.0 runs on 2 nodes\n");
    expect(err).toBe(
      "h1: gets 2.0.0\nh1: tries 2.0.0\nh1: runs 2.0.0\nh2: gets 2.0.0\nh2: runs 2.0.0\n",
    );
    expect(code).toBe(0);
    const [sent, asked] = server?.requests ?? [];
    expect(sent).toMatchObject({ path: "/v1/executables", body: "bytes" });
    const { body = "" } = asked ?? {};
    expect(JSON.parse(body)).toEqual({
      to: "2.0.0",
      labels: { zone: "hall" },
      parallel: 2,
      withinMs: 120_000,
      force: false,
    });
  });

  test("fails with a node that goes back, and says why", async () => {
    await ended(status("failed", { h1: "failed", h2: "waiting" }));
    const { code, err } = await upgrade([file]);
    expect(code).toBe(1);
    expect(err).toContain("h1: does not run 2.0.0: it hung\n");
    expect(err).toContain("No further node is told: 0 of 2 nodes run it.\n");
  });

  test("does not wait for nodes that are away", async () => {
    await ended(status("running", { h1: "done", h2: "away" }));
    const { code, out, err } = await upgrade([file]);
    expect(code).toBe(0);
    expect(err).toContain("h2: is away, and gets 2.0.0 when it is back\n");
    expect(out).toContain("orchd 2.0.0 runs on 1 of 2 nodes; the others get it");
  });

  test("goes on listening when the server restarts for it", async () => {
    await server?.stop();
    let asked = 0;
    const halves = [status("running", { h1: "trying" }), status("done", { h1: "done" })];
    serve({ "GET /v1/upgrade/progress": () => lines(halves[asked++]) });
    const { code, out } = await upgrade([file]);
    expect({ code, asked }).toEqual({ code: 0, asked: 2 });
    expect(out).toBe("orchd 2.0.0 runs on 1 node\n");
  });

  test("prints the API's shapes, and the outcome last", async () => {
    const last = status("done", { h1: "done", h2: "done" });
    await ended(last);
    const { out } = await upgrade([file, "--json"]);
    const printed = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown);
    expect(printed).toEqual([begun, last, { ...last, outcome: "done" }]);
    const detached = await upgrade([file, "--json", "--detach"]);
    expect(JSON.parse(detached.out)).toEqual({ ...begun, outcome: "detached" });
  });

  test("takes the executables of a bundle, and nothing else of it", async () => {
    await server?.stop();
    serve({
      "POST /v1/bundles": () => ({ executables: [{ version: "2.0.0" }] }),
      "GET /v1/upgrade/progress": () => lines(status("done", { h1: "done" })),
    });
    expect((await upgrade(["--bundle", file])).code).toBe(0);
    expect(server?.requests[0]?.path).toBe("/v1/bundles?executablesOnly=true");
  });

  test("tells what is refused", async () => {
    await server?.stop();
    serve({ "POST /v1/upgrade": () => problem("conflict", "h1 runs a newer orchd") });
    expect(await upgrade([file])).toMatchObject({ code: 1 });
    expect((await upgrade([file])).err).toContain("h1 runs a newer orchd");
    expect(await upgrade([join(file, "not")])).toMatchObject({ code: 1 });
  });

  test("is wrong usage with files of two versions, or files and a bundle", async () => {
    await server?.stop();
    let sent = 0;
    serve({ "POST /v1/executables": () => ({ ...EXECUTABLE, version: `2.0.${sent++}` }) });
    expect(await upgrade([file, file])).toMatchObject({ code: 2 });
    expect(await upgrade([file, "--bundle", file])).toMatchObject({ code: 2 });
    expect(await upgrade(["--on", "hall"])).toMatchObject({ code: 2 });
  });
});

describe("orchd upgrade status and cancel", () => {
  test("show each node with what it runs and why it does not", async () => {
    await server?.stop();
    const failed = status("failed", { h1: "done", h2: "failed" });
    serve({ "GET /v1/upgrade": () => failed, "DELETE /v1/upgrade": () => failed });
    const shown = await upgrade(["status"]);
    expect(shown.out).toContain("orchd 2.0.0: failed, 1 of 2 nodes run it");
    expect(shown.out).toMatch(/^h2 +failed +1\.0\.0 +it hung$/m);
    expect(JSON.parse((await upgrade(["status", "--json"])).out)).toEqual(failed);
    expect((await upgrade(["cancel"])).code).toBe(0);
    expect(server?.requests.at(-1)?.method).toBe("DELETE");
  });
});
