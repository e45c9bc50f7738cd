import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { HELLO_IMAGE } from "../../scripts/image.ts";
import { Host } from "../../scripts/lab/host.ts";

/** One task that keeps a core busy, and may have company. */
const BUSY = `name: busy
services:
  worker:
    image: ${HELLO_IMAGE}
    pull_policy: never
    command: ["sh", "-c", "while :; do :; done"]
    stop_grace_period: 0s
    deploy: { resources: { limits: { cpus: "0.1" } } }
    x-orchd:
      autoscale: { min: 1, max: 2, cpu: 50% }
`;

describe("a service that scales itself", () => {
  let host: Host;
  beforeAll(async () => {
    host = await Host.withServer();
    await host.mustUp(BUSY);
  });
  afterAll(async () => host.stop());

  test("gets a second task from what the machine measures, and says why", async () => {
    await host.waitFor("there are two", async () => (await host.running("busy")).length === 2);
    const facts = await host.json<{ facts: { label: string; value: string }[] }>(
      ...["explain", "busy/worker"],
    );
    const said = Object.fromEntries(facts.facts.map(({ label, value }) => [label, value]));
    expect(said["scales itself"]).toBe("2 of 1 to 2 tasks");
    expect(said["because"]).toMatch(/^cpu is at \d+ % of what is wanted/);
    expect((await host.service("busy/worker")).revision).toBe(1);
  });

  test("is not scaled by hand as well", async () => {
    const { code, stderr } = await host.orchd("scale", "busy/worker=5");
    expect([code, stderr.trim()]).toEqual([
      1,
      "service busy/worker scales itself between 1 and 2 tasks: " +
        "change x-orchd.autoscale in its file",
    ]);
  });
});
