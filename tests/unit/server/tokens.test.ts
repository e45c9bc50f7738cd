import { describe, expect, test } from "bun:test";
import { OrchdError } from "../../../src/lib/errors.ts";
import type { TokenId } from "../../../src/model/ids.ts";
import { eventOf } from "../../../src/model/event.ts";
import { anId } from "../../builders.ts";
import { DAY_MS } from "../../pki.ts";
import { aCluster, secretOf } from "./port-rig.ts";

function refusal(run: () => unknown): string {
  try {
    run();
    return "not refused";
  } catch (error) {
    return error instanceof OrchdError ? `${error.code}: ${error.message}` : String(error);
  }
}

const make = "make one with `orchd token create --admin` on the server's machine";

describe("a token", () => {
  test("is told with where it can be used, and its secret is kept nowhere", async () => {
    const { tokens, store, clock, authority } = await aCluster();
    const { token, text, servers } = await tokens.create({
      kind: "join",
      description: "hall 3",
      expiresInMs: DAY_MS,
      usesMax: 5,
    });
    expect(text).toMatch(/^ORCHD-1-[0-9a-z]{52}-[0-9a-z]{32}$/);
    expect(servers).toEqual(["192.0.2.1:6770"]);
    expect(token).toEqual({
      id: token.id,
      kind: "join",
      description: "hall 3",
      createdAt: clock.time,
      expiresAt: clock.time + DAY_MS,
      usesMax: 5,
      uses: 0,
      state: "valid",
    });
    expect(JSON.stringify([...store.view().tokens.values()])).not.toContain(secretOf(text));
    expect(authority.certificate.ca).toBe(true);
  });

  test("has a secret of its own each time", async () => {
    const { tokens } = await aCluster();
    const made = Array.from({ length: 20 }, () => tokens.create({ kind: "join", description: "" }));
    expect(new Set((await Promise.all(made)).map(({ text }) => text)).size).toBe(20);
  });

  test("for people has no number of uses", async () => {
    const { tokens } = await aCluster();
    const made = tokens.create({ kind: "admin", description: "", usesMax: 1 });
    expect(await made.catch((error: unknown) => error)).toMatchObject({
      code: "invalid",
      message: "an admin token has no number of uses: let it expire instead",
    });
  });

  test("for images alone has scopes, and no other has", async () => {
    const { tokens } = await aCluster();
    const scopes = [{ repository: "docker.io/team/*", actions: ["pull" as const] }];
    for (const [kind, more] of [
      ["registry", {}],
      ["admin", { scopes }],
      ["join", { scopes }],
    ] as const) {
      const made = tokens.create({ kind, description: "", ...more });
      expect(await made.catch((error: unknown) => error)).toMatchObject({
        code: "invalid",
        message: "scopes are for a token of kind registry, which needs one",
      });
    }
    const { text } = await tokens.create({ kind: "registry", scopes, description: "" });
    expect(tokens.admit(`Bearer ${text}`).scopes).toEqual(scopes);
  });

  test("that has ended gets no new secret", async () => {
    const { tokens, clock } = await aCluster();
    const { token } = await tokens.create({ kind: "admin", description: "", expiresInMs: 1000 });
    clock.time += 1000;
    expect(await tokens.rotate(token.id).catch((error: unknown) => error)).toMatchObject({
      code: "conflict",
      message: "the token has ended: make a new one instead of a new secret for it",
    });
  });

  test("that is not there can be neither rotated nor revoked", async () => {
    const { tokens } = await aCluster();
    const id: TokenId = anId("gone");
    const errors = await Promise.all(
      [tokens.rotate(id), tokens.revoke(id)].map((p) => p.catch((error: unknown) => error)),
    );
    expect(errors.map((error) => (error as OrchdError).message)).toEqual([
      "there is no such token: `orchd token ls` lists them",
      "there is no such token: `orchd token ls` lists them",
    ]);
  });

  test("is one of at most a thousand", async () => {
    const { tokens } = await aCluster();
    for (let i = 1; i < 1000; i++) await tokens.create({ kind: "join", description: "" });
    const more = tokens.create({ kind: "join", description: "" });
    expect(await more.catch((error: unknown) => error)).toMatchObject({ code: "conflict" });
  });
});

describe("a person is let in", () => {
  test("with an admin token, however it is typed", async () => {
    const { tokens } = await aCluster();
    const { text } = await tokens.create({ kind: "admin", description: "" });
    for (const header of [`Bearer ${text}`, `bearer  ${text.toUpperCase()} `]) {
      expect(refusal(() => tokens.admit(header))).toBe("not refused");
    }
  });

  test("with it as the password of any user, as programs for registries show it", async () => {
    const { tokens } = await aCluster();
    const { text } = await tokens.create({ kind: "admin", description: "" });
    const basic = (words: string) => `Basic ${Buffer.from(words).toString("base64")}`;
    expect(refusal(() => tokens.admit(basic(`me:${text}`)))).toBe("not refused");
    expect(refusal(() => tokens.admit(basic(`${text}:`)))).toContain("without a token");
  });

  test("not without one, nor with something else", async () => {
    const { tokens } = await aCluster();
    const none = `unauthorized: this server takes no one without a token: ${make}`;
    for (const header of [undefined, "", "Bearer", "Bearer ", "Basic cm9vdDpyb290"]) {
      expect(refusal(() => tokens.admit(header))).toBe(none);
    }
    expect(refusal(() => tokens.admit("Bearer root"))).toBe(
      "unauthorized: this is no token of orchd: one begins with ORCHD-1-",
    );
  });

  test("not with one that has ended, was rotated, is for machines or is cut off", async () => {
    const { tokens, clock, firstToken } = await aCluster();
    const short = await tokens.create({ kind: "admin", description: "", expiresInMs: 1000 });
    const { token, text } = await tokens.create({ kind: "admin", description: "" });
    const rotated = await tokens.rotate(token.id);
    const why = (given: string) => refusal(() => tokens.admit(`Bearer ${given}`));
    const wrong = `unauthorized: the token is wrong or was revoked: ${make}`;
    expect(why(text)).toBe(wrong);
    expect(why(rotated.text)).toBe("not refused");
    await tokens.revoke(token.id);
    expect(why(rotated.text)).toBe(wrong);
    expect(why(short.text)).toBe("not refused");
    clock.time += 1000;
    expect(why(short.text)).toBe(`unauthorized: the token has expired: ${make}`);
    expect(why(firstToken)).toBe(
      `unauthorized: the token lets machines join and no one else in: ${make}`,
    );
    expect(why(short.text.slice(0, -1))).toBe(
      "unauthorized: the token is cut off: it has 92 of 93 characters, copy all of it",
    );
  });

  test("not with another cluster's", async () => {
    const [{ tokens }, other] = await Promise.all([aCluster(), aCluster()]);
    const { text } = await other.tokens.create({ kind: "admin", description: "" });
    expect(refusal(() => tokens.admit(`Bearer ${text}`))).toBe(
      "unauthorized: the token is one of another cluster: use one of this cluster",
    );
  });
});

describe("what becomes of a token", () => {
  test("is told in events, without anything that opens", async () => {
    const { store, tokens } = await aCluster();
    const told: string[] = [];
    const texts: string[] = [];
    store.watch(({ applied, version }) => {
      for (const event of applied.map((one) => eventOf(one, 5, version))) {
        if (event !== undefined) told.push(`${event.kind} ${event.action}: ${event.message}`);
        texts.push(JSON.stringify(event ?? ""));
      }
    });
    const made = await tokens.create({ kind: "join", description: "hall 3", usesMax: 2 });
    const token = store.view().tokens.get(made.token.id);
    if (token !== undefined)
      await store.commit([{ kind: "token", op: "put", value: { ...token, uses: 1 } }]);
    const rotated = await tokens.rotate(made.token.id);
    await tokens.revoke(made.token.id);
    expect(told).toEqual([
      "token created: join token: hall 3",
      "token used: 1 of 2 times",
      "token rotated: join token: hall 3",
      "token revoked: join token: hall 3",
    ]);
    for (const secret of [made.text, rotated.text].map(secretOf)) {
      expect(texts.join("")).not.toContain(secret);
    }
    expect(texts.join("")).not.toContain(token?.secretDigest ?? "none");
  });
});
