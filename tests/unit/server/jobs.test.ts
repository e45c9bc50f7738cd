import { describe, expect, test } from "bun:test";
import { messageOf } from "../../../src/lib/errors.ts";
import { seededRandom } from "../../../src/lib/random.ts";
import { put } from "../../../src/model/change.ts";
import type { Schedule } from "../../../src/model/job.ts";
import { specOf } from "../../../src/model/service.ts";
import { explainService } from "../../../src/server/explain.ts";
import { Writes } from "../../../src/server/writes.ts";
import { aService, aSpec, anId } from "../../builders.ts";
import { Rig } from "./rig.ts";

const NO_AUTOSCALING = { autoscaling: "" };
const EVERY_MINUTE: Schedule = {
  cron: "* * * * *",
  timeZone: "UTC",
  overlap: "skip",
  missed: "once",
  history: 2,
};

async function aRig(): Promise<Rig> {
  const rig = new Rig();
  rig.decide();
  await rig.connect();
  return rig;
}

function writesOf(rig: Rig): Writes {
  return new Writes(rig.store, rig.clock, seededRandom("writes"));
}

function storedRuns(rig: Rig, name = "web"): string[] {
  const runs = rig.disk.view.services.get(anId(name))?.runs?.list ?? [];
  return runs.map(({ run, result }) => `${run} ${result ?? "under way"}`);
}

describe("a job", () => {
  test("is run when it is written, and not again by itself", async () => {
    const rig = await aRig();
    await rig.commit(put.service(aService({ mode: "replicated-job" })));
    expect(rig.tasks()).toEqual(["1 running assigned"]);
    await rig.report("complete", "1");
    await rig.pass(120_000);
    expect([rig.tasks(), storedRuns(rig)]).toEqual([["1 running complete"], ["1 complete"]]);
  });

  test("is not run again by a server that starts again", async () => {
    const rig = await aRig();
    await rig.commit(put.service(aService({ mode: "replicated-job" })));
    await rig.report("complete", "1");
    rig.controllers?.close();
    rig.decide();
    await rig.pass(60_000);
    expect([rig.tasks(), storedRuns(rig)]).toEqual([["1 running complete"], ["1 complete"]]);
  });

  test("is not run again by up when its file says nothing new", async () => {
    const rig = await aRig();
    const job = aSpec({ mode: "replicated-job" });
    const up = async (spec: typeof job) => {
      const file = { services: { send: spec }, volumes: [] };
      const written = writesOf(rig).applyStack("shop", file, { dryRun: false, prune: false });
      await Promise.all([written, rig.pass(200)]);
    };
    await up(job);
    await rig.report("complete", "1");
    const runs = () => rig.disk.view.servicesOf("shop")[0]?.runs?.list.length;
    await up(job);
    await rig.pass(60_000);
    expect([rig.tasks(), runs()]).toEqual([["1 running complete"], 1]);
    await up({ ...job, container: { ...job.container, image: "send:2" } });
    expect(runs()).toBe(2);
  });

  test("is run again by a restart, or by hand, which says the number", async () => {
    const rig = await aRig();
    await rig.commit(put.service(aService({ mode: "replicated-job" })));
    await rig.report("complete", "1");
    const [number] = await Promise.all([writesOf(rig).runJob(anId("web")), rig.pass(200)]);
    expect([number, storedRuns(rig)[0]]).toEqual([2, "2 under way"]);
    await Promise.all([writesOf(rig).restart(anId("web")), rig.pass(200)]);
    expect(storedRuns(rig)).toEqual(["3 under way", "2 replaced"]);
  });

  test("with a schedule runs by it, and by hand without another revision", async () => {
    const rig = await aRig();
    await rig.commit(put.service(aService({ mode: "replicated-job", schedule: EVERY_MINUTE })));
    await rig.pass(60_000);
    expect(rig.tasks()).toEqual(["1@1 running assigned"]);
    await rig.report("complete", "1@1");
    await Promise.all([writesOf(rig).runJob(anId("web")), rig.pass(200)]);
    expect(storedRuns(rig)).toEqual(["2 under way", "1 complete"]);
    expect(rig.disk.view.services.get(anId("web"))?.revisions).toHaveLength(1);
    const again = await writesOf(rig).runJob(anId("web")).catch(messageOf);
    expect(again).toContain("run 2 is not over");
  });

  test("is the only service that can be run", async () => {
    const rig = await aRig();
    await rig.commit(put.service(aService()));
    const asked = await writesOf(rig).runJob(anId("web")).catch(messageOf);
    expect(asked).toBe("service shop/web is no job");
  });

  test("is explained: what stands, what failed and what is next", async () => {
    const rig = await aRig();
    const job = { retries: 0 };
    await rig.commit(put.service(aService({ mode: "replicated-job", job })));
    await rig.report("failed", "1");
    const service = rig.disk.view.services.get(anId("web"));
    if (service === undefined) throw new Error("the job is stored");
    const { summary, next } = explainService(
      rig.disk.view,
      service,
      rig.clock.now(),
      NO_AUTOSCALING,
    );
    expect(summary).toBe(
      "Run 1 failed with 0 of 1 task complete: 1 task failed, and it may have 0.",
    );
    expect(next).toBe(
      "It runs again when it is mended and applied, or with `orchd job run shop/web`.",
    );
  });
});

describe("a service that waits for another", () => {
  const db = aService({}, { id: anId("db"), name: "db" });
  const needs = { service: "db", condition: "healthy", restart: false, required: true } as const;
  const web = aService({ dependsOn: [needs] });

  test("is started as soon as the other is there, without anybody asking", async () => {
    const rig = await aRig();
    await rig.commit(put.service(web), put.service(db));
    expect(rig.tasks()).toEqual(["1 running assigned", "1 running new"]);
    const dbTask = [...rig.store.view().tasks.values()].find((task) => task.service === "db");
    if (dbTask === undefined) throw new Error("db has a task");
    await rig.commit(put.task({ ...dbTask, state: "running", startedAt: rig.clock.now() }));
    expect(rig.tasks()).toEqual(["1 running assigned", "1 running running"]);
  });

  test("is restarted with the other where it asks for that", async () => {
    const rig = await aRig();
    const follower = aService({ dependsOn: [{ ...needs, restart: true }] });
    await rig.commit(put.service(follower), put.service(db));
    await Promise.all([writesOf(rig).restart(anId("db")), rig.pass(200)]);
    const restarts = [...rig.disk.view.services.values()].map((one) => specOf(one).restarts);
    expect(restarts).toEqual([1, 1]);
  });

  test("goes before the other when the stack is removed", async () => {
    const rig = await aRig();
    const apply = writesOf(rig).applyStack(
      "shop",
      { services: { db: aSpec(), web: aSpec({ dependsOn: [needs] }) }, volumes: [] },
      { dryRun: false, prune: false },
    );
    await Promise.all([apply, rig.pass(200)]);
    await Promise.all([writesOf(rig).removeStack("shop", { volumes: false }), rig.pass(200)]);
    const left = [...rig.disk.view.services.values()].map(({ name }) => name);
    // Its task was never placed, and so it is gone at once; the other's agent has to answer.
    expect(left).toEqual(["db"]);
  });
});
