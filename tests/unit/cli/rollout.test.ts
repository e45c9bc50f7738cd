import { afterEach, describe, expect, test } from "bun:test";
import type { RolloutSummary } from "../../../src/model/summary.ts";
import { FakeIo, run } from "./fake-io.ts";
import { FakeServer, openLines, problem, type Routes } from "./fake-server.ts";
import { aProgress, aReadyService, aServiceSummary } from "./samples.ts";

let server: FakeServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

const resolved = {
  "GET /v1/resolve": () => ({
    kind: "service",
    id: "s1",
    name: "shop/web",
    stack: "shop",
    service: "web",
  }),
};

async function ask(routes: Routes, line: string) {
  server = new FakeServer({ ...resolved, ...routes });
  const io = new FakeIo();
  io.env["ORCHD_SOCKET"] = server.socketPath;
  const { code, out, err } = await run(line.split(" "), io);
  const bodies = server.requests.filter(({ method }) => method === "POST").map(({ body }) => body);
  return { code, out, err, bodies };
}

const paused: RolloutSummary = {
  stack: "shop",
  name: "web",
  state: "paused",
  revision: 3,
  from: 2,
  to: 3,
  startedAt: 0,
  slots: 4,
  done: 1,
  failed: ["2"],
  deferred: ["h7"],
  held: ["3", "4"],
  canaries: [],
  message: "1 of 4 slots failed: exited with code 1",
};
const ROLLOUT = "/v1/services/shop/web/rollout";
const STATUS = [
  "shop/web is at revision 3: rollout from 2 to 3 is paused, 1 of 4 slots done",
  "1 of 4 slots failed: exited with code 1",
  "1 slot failed: 2",
  "1 slot wait for their node: h7",
  "2 slots stay at an older revision for now: 3, 4",
  "",
].join("\n");

describe("orchd rollout status", () => {
  test("tells how far it is and what it waits for", async () => {
    const { code, out } = await ask({ [`GET ${ROLLOUT}`]: () => paused }, "rollout status web");
    expect([code, out]).toEqual([0, STATUS]);
  });

  test("with --json prints the API's own shape", async () => {
    const { out } = await ask({ [`GET ${ROLLOUT}`]: () => paused }, "rollout status web --json");
    expect(JSON.parse(out)).toEqual(paused);
  });
});

describe("orchd rollout", () => {
  test("pause does not wait", async () => {
    const { out, bodies } = await ask({ [`POST ${ROLLOUT}`]: () => paused }, "rollout pause web");
    expect([out, bodies]).toEqual([STATUS, ['{"type":"pause"}']]);
  });

  const waits = (line: string) =>
    ask(
      {
        [`POST ${ROLLOUT}`]: () => paused,
        "GET /v1/services": () => [aServiceSummary()],
        "GET /v1/services/shop/web/progress": () => openLines(aProgress([aReadyService()])),
      },
      line,
    );
  const orders: [line: string, body: string][] = [
    ["rollout resume web", '{"type":"resume","unlock":false}'],
    ["rollout resume web --unlock", '{"type":"resume","unlock":true}'],
    ["rollout promote web", '{"type":"promote"}'],
    ["rollout undo web", '{"type":"undo"}'],
    ["rollout undo web --to 2", '{"type":"undo","to":2}'],
  ];
  for (const [line, body] of orders) {
    test(`${line} waits for what comes of it`, async () => {
      const { code, out, bodies } = await waits(line);
      expect([code, bodies]).toEqual([0, [body]]);
      expect(out).toEndWith("shop/web converged\n");
    });
  }

  test("undo --stack takes a whole stack back", async () => {
    const routes = {
      "POST /v1/stacks/shop/undo": () => ({ stack: "shop", plan: [], orphans: [] }),
      "GET /v1/stacks/shop/progress": () => openLines(aProgress([aReadyService()])),
    };
    const { code, out, bodies } = await ask(routes, "rollout undo --stack shop --to 4");
    expect([code, bodies]).toEqual([0, ['{"to":4}']]);
    expect(out).toEndWith("stack shop has converged\n");
  });

  test("tells a refusal as it is", async () => {
    const why = "service shop/web has no rollout under way";
    const routes = { [`POST ${ROLLOUT}`]: () => problem("conflict", why) };
    const { code, err } = await ask(routes, "rollout promote web");
    expect([code, err]).toEqual([1, `${why}\n`]);
  });

  const wrong = [
    "rollout undo",
    "rollout undo web --stack shop",
    "rollout undo web --to 0",
    "rollout history",
    "rollout status",
    "rollout undo web --to x",
  ];
  for (const line of wrong) {
    test(`${line} is wrong usage`, async () => {
      expect((await ask({}, line)).code).toBe(2);
    });
  }

  test("history lists what is kept", async () => {
    const revisions = [
      { revision: 2, at: 0, image: "web:2", pins: {}, current: true, tasks: 1, change: "image" },
      { revision: 1, at: 0, image: "web:1", pins: {}, current: false, tasks: 0, change: "" },
    ];
    const routes = { "GET /v1/services/shop/web/revisions": () => revisions };
    const { out } = await ask(routes, "rollout history web");
    expect(out).toBe(
      [
        "REVISION  AT                        TASKS  IMAGE  CHANGE",
        "2 *       1970-01-01T00:00:00.000Z  1      web:2  image",
        "1         1970-01-01T00:00:00.000Z  0      web:1  -",
        "",
      ].join("\n"),
    );
  });

  test("history --stack lists what the stack was made to be", async () => {
    const sets = [{ id: 3, at: 0, revisions: { web: 2, db: 1 }, current: true }];
    const told = await ask(
      { "GET /v1/stacks/shop/sets": () => sets },
      "rollout history --stack shop",
    );
    expect(told.out).toContain("3 *  1970-01-01T00:00:00.000Z  web 2, db 1");
  });
});

describe("who waits for a rollout", () => {
  const up = (rollout: object, over: object = {}) =>
    ask(
      {
        "POST /v1/services/shop/web/restart": () => aServiceSummary(),
        "GET /v1/services/shop/web/progress": () =>
          openLines(
            aProgress([
              aServiceSummary({
                rollout: { from: 1, to: 2, message: "", ...rollout } as never,
                ...over,
              }),
            ]),
          ),
      },
      "restart web",
    );

  test("hears that it failed, and what to do", async () => {
    const { code, err } = await up({
      state: "paused",
      message: "2 of 4 slots failed: no such image",
    });
    expect(code).toBe(1);
    expect(err).toBe(
      [
        "shop/web: 2 of 4 slots failed: no such image",
        "`orchd rollout resume shop/web` goes on, `orchd rollout undo shop/web` back.",
        "See `orchd ps shop`.",
        "",
      ].join("\n"),
    );
  });

  test("hears that it went back by itself", async () => {
    const rollout = { state: "rolling-back", back: "failure", message: "revision 2 was undone: x" };
    const { code, err } = await up(rollout);
    expect([code, err.split("\n")[0]]).toEqual([1, "shop/web: revision 2 was undone: x"]);
  });

  test("hears that it went back, also where that was over before anybody looked", async () => {
    const rollout = { state: "rolled-back", back: "failure", message: "revision 2 was undone: x" };
    const { code, err } = await up(rollout, { converged: true });
    expect([code, err.split("\n")[0]]).toEqual([1, "shop/web: revision 2 was undone: x"]);
  });

  const waiting = [
    { state: "canary", message: "1 canary ready" },
    { state: "waiting-for-window", message: "no new slot begins outside Sun 01:00-02:00 UTC" },
    { state: "paused", locked: true, message: "its file locks it" },
  ];
  for (const rollout of waiting) {
    test(`does not wait while ${rollout.message}`, async () => {
      const { code, out } = await up(rollout);
      expect(code).toBe(0);
      expect(out).toContain(`shop/web waits: ${rollout.message}`);
    });
  }
});
