import { describe, expect, test } from "bun:test";
import { anApi } from "./fixture.ts";

describe("a backup of the cluster over the API", () => {
  const ask = (body: unknown) => ({
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

  test("is an archive that nobody keeps", async () => {
    const { app, calls } = await anApi();
    const answer = await app.request("/v1/backup", ask({ passphrase: "correct horse" }));
    expect(answer.headers.get("content-type")).toBe("application/octet-stream");
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(await answer.text()).toBe("backup");
    expect(calls).toEqual([["clusterBackup.make", "correct horse"]]);
  });

  test("is refused with a passphrase that is none, which is not repeated", async () => {
    const { app, calls } = await anApi();
    const answer = await app.request("/v1/backup", ask({ passphrase: "x".repeat(2000) }));
    expect(answer.status).toBe(400);
    expect(await answer.text()).not.toContain("xxxx");
    expect(calls).toEqual([]);
  });

  test("tells how the server's own ones go", async () => {
    const { app } = await anApi();
    const answer = await app.request("/v1/backup");
    expect(await answer.json()).toEqual({ last: { at: 1000, bytes: 6 } });
  });
});
