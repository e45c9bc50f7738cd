import { describe, expect, test } from "bun:test";
import { OrchdError } from "../../../src/lib/errors.ts";
import type { Guard } from "../../../src/api/env.ts";
import { aCluster, aNode, anId, aToken } from "../../builders.ts";
import { factsOfNode } from "../server/rig.ts";
import { anApi, json, type Refusal, until } from "./fixture.ts";

const joinBody = { secret: "s", csr: "PEM", facts: factsOfNode(), labels: {} };

async function messageOf(response: Response): Promise<string> {
  return ((await response.json()) as Refusal).error.message;
}

describe("tokens", () => {
  test("are listed oldest first, with their state and nothing that opens", async () => {
    const { app, clock } = await anApi({
      tokens: [
        aToken("t3", { createdAt: 900, usesMax: 1, uses: 1 }),
        aToken("t2", { createdAt: 80, kind: "admin", expiresAt: 1000 }),
        aToken("t1", { createdAt: 80, expiresAt: 1001 }),
      ],
    });
    expect(clock.now()).toBe(1000);
    const text = await (await app.request("/v1/tokens")).text();
    const tokens = JSON.parse(text) as { id: string; state: string }[];
    expect(tokens.map(({ id, state }) => `${id.replaceAll("x", "")} ${state}`)).toEqual([
      "t1 valid",
      "t2 expired",
      "t3 usedUp",
    ]);
    expect(text).not.toContain(aToken("t1").secretDigest);
  });

  test("are made as the body says, for joining unless it says otherwise", async () => {
    const { app, calls } = await anApi();
    expect((await app.request("/v1/tokens", json("POST", {}))).status).toBe(201);
    const all = { kind: "admin", description: "laptop", expiresInMs: 60_000 };
    await app.request("/v1/tokens", json("POST", all));
    expect(calls).toEqual([
      ["createToken", { kind: "join", description: "" }],
      ["createToken", all],
    ]);
  });

  test("are not made out of nonsense", async () => {
    const { app, calls } = await anApi();
    const bodies = [
      { kind: "root" },
      { usesMax: 0 },
      { usesMax: 1e9 },
      { usesMax: 1.5 },
      { expiresInMs: 0 },
      { expiresInMs: -1 },
      { expiresInMs: 1e308 },
      { description: "x".repeat(201) },
      [],
      null,
    ];
    for (const body of bodies) {
      const response = await app.request("/v1/tokens", json("POST", body));
      expect([body, response.status]).toEqual([body, 400]);
    }
    expect(calls).toEqual([]);
  });

  test("are rotated and revoked by their id alone", async () => {
    const { app, calls } = await anApi();
    const id: string = anId("t1");
    const post = { method: "POST" };
    expect((await app.request(`/v1/tokens/${id}/rotate`, post)).status).toBe(200);
    expect((await app.request(`/v1/tokens/${id}`, { method: "DELETE" })).status).toBe(204);
    for (const bad of ["t1", "..%2f..%2fetc", `${id}0`, id.toUpperCase(), "%00"]) {
      const response = await app.request(`/v1/tokens/${bad}/rotate`, post);
      expect([bad, response.status]).toEqual([bad, 400]);
    }
    expect(calls).toEqual([
      ["rotateToken", id],
      ["revokeToken", id],
    ]);
  });
});

describe("a machine that is no node yet", () => {
  test("gets the CA's certificate, and nothing else that makes the cluster", async () => {
    const cluster = aCluster();
    const { app } = await anApi({ cluster });
    const answer = await (await app.request("/v1/ca")).json();
    expect(answer).toEqual({ caCertificate: cluster.caCertificate });
  });

  test("is told when there is none", async () => {
    const { app } = await anApi();
    expect((await app.request("/v1/ca")).status).toBe(404);
  });

  test("joins with what it says of itself", async () => {
    const { app, calls } = await anApi();
    const response = await app.request("/v1/join", json("POST", { ...joinBody, roles: "server" }));
    expect(response.status).toBe(200);
    expect(calls).toEqual([["join", joinBody]]);
  });

  test("does not join with too much, too little or nonsense, which is never repeated", async () => {
    const { app, calls } = await anApi();
    const labels = Object.fromEntries(Array.from({ length: 129 }, (_, i) => [`l${i}`, ""]));
    const bodies: [object, number][] = [
      [{}, 400],
      [{ ...joinBody, secret: "hunter2".repeat(20) }, 400],
      [{ ...joinBody, csr: "hunter2".repeat(1000) }, 400],
      [{ ...joinBody, name: "hunter2\n" }, 400],
      [{ ...joinBody, labels }, 400],
      [{ ...joinBody, labels: { a: "x".repeat(256) } }, 400],
      [{ ...joinBody, facts: { ...joinBody.facts, hostname: "x".repeat(254) } }, 400],
      [{ ...joinBody, facts: { ...joinBody.facts, resources: { cpuMillis: -1 } } }, 400],
      [{ ...joinBody, csr: "x".repeat(66_000) }, 413],
    ];
    for (const [body, status] of bodies) {
      const response = await app.request("/v1/join", json("POST", body));
      expect(response.status).toBe(status);
      expect(await response.text()).not.toContain("hunter2");
    }
    expect(calls).toEqual([]);
  });
});

describe("on a socket that others reach", () => {
  const refuse: Guard = () => {
    throw new OrchdError("unauthorized", "no one comes in");
  };
  const asked: (string | undefined)[] = [];
  const watch: Guard = (header) => {
    asked.push(header);
    return { onEnd: () => () => {} };
  };

  test("everything but joining is refused before the body is looked at", async () => {
    const { app, calls } = await anApi({ cluster: aCluster(), nodes: [aNode()] });
    const request = async (path: string, init: RequestInit = {}) =>
      app.request(path, init, { guard: refuse });
    const refused = await request("/v1/stacks/shop", json("PUT", "not JSON"));
    expect(refused.status).toBe(401);
    expect(await messageOf(refused)).toBe("no one comes in");
    expect(refused.headers.get("connection")).toBe("close");
    expect(refused.headers.get("www-authenticate")).toBe("Bearer");
    const statuses = await Promise.all(
      ["/v1/nodes", "/v1/none", "/", "/v1/ca/", "/v1/join"].map(
        async (path) => (await request(path)).status,
      ),
    );
    expect(new Set(statuses)).toEqual(new Set([401]));
    expect(calls).toEqual([]);
    for (const response of [
      await request("/v1/ca"),
      await request("/v1/join", json("POST", joinBody)),
    ]) {
      expect(response.status).toBe(200);
      expect(response.headers.get("connection")).toBe("close");
    }
  });

  test("nobody joins by sending for ever", async () => {
    const { app, clock } = await anApi();
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode("{")),
    });
    const headers = { "content-type": "application/json" };
    const init = { method: "POST", body, headers };
    const answered = app.request("/v1/join", init, { guard: refuse });
    await until(() => clock.waiting > 0);
    clock.advance(10_000);
    expect((await answered).status).toBe(408);
    expect(clock.waiting).toBe(0);
  });

  test("nobody joins with more than 64 KiB, whether the length is told or not", async () => {
    const { app } = await anApi();
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 16_384;
        controller.enqueue(new Uint8Array(16_384).fill(0x20));
      },
    });
    const headers = { "content-type": "application/json" };
    const init = { method: "POST", body, headers };
    const answer = await app.request("/v1/join", init, { guard: refuse });
    expect(answer.status).toBe(413);
    expect(sent).toBeLessThan(200_000);
  });

  test("the guard hears the header of every request", async () => {
    const { app } = await anApi();
    const ask = (headers: Record<string, string>) =>
      app.request("/v1/version", { headers }, { guard: watch });
    expect((await ask({ authorization: "Bearer x" })).status).toBe(200);
    await ask({});
    expect(asked).toEqual(["Bearer x", undefined]);
  });
});
