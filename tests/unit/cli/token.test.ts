import { afterEach, describe, expect, test } from "bun:test";
import type { NewToken, TokenSummary } from "../../../src/model/token.ts";
import { tokenSummaryOf } from "../../../src/model/token.ts";
import { aToken } from "../../builders.ts";
import { FakeClock, FakeIo, run } from "./fake-io.ts";
import { FakeServer, problem, type Routes } from "./fake-server.ts";

let server: FakeServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

async function ask(routes: Routes, line: string, io = new FakeIo()) {
  server = new FakeServer(routes);
  io.env["ORCHD_SOCKET"] = server.socketPath;
  return run(line.split(" "), io);
}

function made(over: Partial<NewToken> = {}): NewToken {
  const token: TokenSummary = tokenSummaryOf(aToken("t1"), 0);
  return { token, text: "ORCHD-1-text", servers: ["192.0.2.1:6770"], ...over };
}

describe("orchd token create", () => {
  const cases: [line: string, body: object][] = [
    ["token create", { kind: "join", expiresInMs: 86_400_000 }],
    ["token create --uses 1 --expires 1h", { kind: "join", expiresInMs: 3_600_000, usesMax: 1 }],
    ["token create --admin --expires never", { kind: "admin" }],
    [
      "token create --expires never --scope repository:team/*:pull,push --scope repository:a/b:*",
      {
        kind: "registry",
        scopes: [
          { repository: "docker.io/team/*", actions: ["pull", "push"] },
          { repository: "docker.io/a/b", actions: ["pull", "push", "delete"] },
        ],
      },
    ],
    [
      "token create --description hall",
      {
        kind: "join",
        expiresInMs: 86_400_000,
        description: "hall",
      },
    ],
  ];
  test.each(cases)("asks for what it is told: orchd %s", async (line, body) => {
    const { code } = await ask({ "POST /v1/tokens": () => made() }, line);
    expect(code).toBe(0);
    expect(JSON.parse(server?.requests[0]?.body ?? "")).toEqual(body);
  });

  test("prints the token alone, and beside it what to do with it", async () => {
    const { out, err } = await ask({ "POST /v1/tokens": () => made() }, "token create");
    expect(out).toBe("ORCHD-1-text\n");
    expect(err).toBe("It is not shown again. Use it with `orchd join TOKEN@192.0.2.1:6770`.\n");
  });

  test("tells people how to use theirs, and when nobody can", async () => {
    const admin = tokenSummaryOf(aToken("t1", { kind: "admin" }), 0);
    const person = await ask({ "POST /v1/tokens": () => made({ token: admin }) }, "token create");
    expect(person.err).toContain("`orchd context add NAME TOKEN@192.0.2.1:6770`");
    await server?.stop();
    const nobody = await ask({ "POST /v1/tokens": () => made({ servers: [] }) }, "token create");
    expect(nobody.err).toContain("start it with --listen");
  });

  test("prints the API's answer as JSON", async () => {
    const { out, err } = await ask({ "POST /v1/tokens": () => made() }, "token create --json");
    expect(JSON.parse(out)).toEqual(made());
    expect(err).toBe("");
  });

  const wrong: [line: string, told: string][] = [
    ["token create --expires soon", "Write it like 1h, 24h or 30d, or never."],
    ["token create --expires 0s", "Write it like 1h"],
    ["token create --uses 0", "at least 1"],
    ["token create --scope repository:team", "write it like repository:team/web:pull,push"],
    ["token create --scope repository:team/web:run", "the actions are pull, push and delete"],
    ["token create --scope repository:team/web:pull --admin", "cannot be used with"],
    ["token create --uses many", "must be a whole number"],
    ["token", "it needs one of create, ls, rotate, revoke"],
    ["token rotate", "missing required argument 'id'"],
  ];
  test.each(wrong)("is wrong usage: orchd %s", async (line, told) => {
    const { code, err } = await run(line.split(" "));
    expect(code).toBe(2);
    expect(err).toContain(told);
  });
});

describe("orchd token ls", () => {
  test("shows what each is for and how much of it is left", async () => {
    const clock = new FakeClock();
    const now = clock.now();
    const tokens = [
      aToken("t1", { createdAt: now - 60_000, uses: 2, usesMax: 5, expiresAt: now + 3_600_000 }),
      aToken("t2", { createdAt: now - 60_000, kind: "admin", description: "laptop" }),
      aToken("t3", { createdAt: now - 86_400_000, uses: 3, expiresAt: now - 1000 }),
      aToken("t4", { createdAt: now - 60_000, uses: 1, usesMax: 1 }),
      aToken("t5", {
        createdAt: now - 60_000,
        kind: "registry",
        scopes: [{ repository: "docker.io/team/*", actions: ["pull", "push"] }],
      }),
    ].map((token) => tokenSummaryOf(token, now));
    const { out } = await ask(
      { "GET /v1/tokens": () => tokens },
      "token ls",
      new FakeIo({ clock }),
    );
    const scope = "repository:docker.io/team/*:pull,push";
    const wide = (text: string) => text.padEnd(scope.length);
    expect(out.split("\n").map((line) => line.trimEnd())).toEqual([
      `ID            KIND      STATE    USES  EXPIRES    AGE   ${wide("SCOPES")}  DESCRIPTION`,
      "t1xxxxxxxxxx  join      valid    2/5   in 60 min  60 s  -",
      `t2xxxxxxxxxx  admin     valid    -     never      60 s  ${wide("-")}  laptop`,
      "t3xxxxxxxxxx  join      expired  3     1 s ago    24 h  -",
      "t4xxxxxxxxxx  join      used up  1/1   never      60 s  -",
      `t5xxxxxxxxxx  registry  valid    -     never      60 s  ${scope}`,
      "",
    ]);
  });

  test("prints the API's own list as JSON, and says when there is none", async () => {
    const tokens = [tokenSummaryOf(aToken("t1"), 0)];
    const json = await ask({ "GET /v1/tokens": () => tokens }, "token ls --json");
    expect(JSON.parse(json.out)).toEqual(tokens);
    await server?.stop();
    const none = await ask({ "GET /v1/tokens": () => [] }, "token ls");
    expect(none.err).toBe("There is no token: make one with `orchd token create`.\n");
  });
});

describe("a token's end", () => {
  test("a rotated one is printed like a new one", async () => {
    const routes = { "POST /v1/tokens/t1xxxxxxxxxx/rotate": () => made() };
    const { out } = await ask(routes, "token rotate t1xxxxxxxxxx");
    expect(out).toBe("ORCHD-1-text\n");
  });

  test("a revoked one is confirmed", async () => {
    const routes = {
      "DELETE /v1/tokens/t1xxxxxxxxxx": () => new Response(null, { status: 204 }),
    };
    const people = await ask(routes, "token revoke t1xxxxxxxxxx");
    expect([people.out, people.err]).toEqual(["", "t1xxxxxxxxxx is revoked\n"]);
    await server?.stop();
    const program = await ask(routes, "token revoke t1xxxxxxxxxx --json");
    expect(JSON.parse(program.out)).toEqual({ revoked: "t1xxxxxxxxxx" });
  });

  test("one that is not there is told as the server tells it", async () => {
    const routes = {
      "DELETE /v1/tokens/none": () => problem("notFound", "there is no such token"),
    };
    const { code, err } = await ask(routes, "token revoke none");
    expect([code, err]).toEqual([1, "there is no such token\n"]);
  });
});
