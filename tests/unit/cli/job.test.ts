import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JobRunSummary, JobSummary } from "../../../src/model/summary.ts";
import { FakeIo, run } from "./fake-io.ts";
import { FakeServer, lines, openLines, problem, type Routes } from "./fake-server.ts";
import { aProgress, aServiceSummary, aTaskSummary } from "./samples.ts";

const directory = mkdtempSync(join(tmpdir(), "orchd-job-"));
afterAll(() => rmSync(directory, { recursive: true }));
let server: FakeServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});
writeFileSync(
  join(directory, "jobs.yaml"),
  "name: shop\nservices: {send: {image: send, deploy: {mode: replicated-job}}}\n",
);

async function ask(routes: Routes, ...argv: string[]) {
  const io = new FakeIo({ cwd: directory });
  server = new FakeServer(routes);
  io.env["ORCHD_SOCKET"] = server.socketPath;
  return run(argv, io);
}

function aRun(over: Partial<JobRunSummary> = {}): JobRunSummary {
  const counts = { wanted: 1, completed: 0, active: 1, failures: 0 };
  return { run: 3, revision: 1, startedAt: 0, message: "", ...counts, ...over };
}

const COMPLETE = aRun({ result: "complete", finishedAt: 2000, completed: 1, active: 0 });
const FAILED = aRun({ result: "failed", finishedAt: 2000, active: 0, message: "one task failed" });

function aJob(job: Partial<JobSummary>) {
  const over = { name: "send", mode: "replicated-job", job: { runs: [], skipped: 0, ...job } };
  return aServiceSummary(over as Parameters<typeof aServiceSummary>[0]);
}

/** A server on which run 3 of the job `shop/send` ends as `end` says, with one task. */
function routesTo(end: JobRunSummary, exitCode: number): Routes {
  const state = exitCode === 0 ? "complete" : "failed";
  const job = { kind: "service", id: "s1", name: "shop/send", stack: "shop", service: "send" };
  return {
    "GET /v1/resolve": () => job,
    "POST /v1/services/shop/send/run": () => ({ stack: "shop", service: "send", run: 3 }),
    "GET /v1/services/shop/send/progress": () =>
      openLines(
        aProgress([aJob({ runs: [aRun()] })]),
        aProgress([aJob({ runs: [end] })], { converged: true }),
      ),
    "GET /v1/tasks": () => [aTaskSummary({ service: "send", state, exitCode })],
    "GET /v1/logs": () => lines({ task: "shop/send.1", at: 0, stream: "stdout", text: "hi" }),
    "GET /v1/services": () => [aJob({ runs: [end] })],
  };
}

describe("orchd job run", () => {
  test("runs a job of the cluster again, and shows what its only task printed", async () => {
    const { code, out, err } = await ask(routesTo(COMPLETE, 0), "job", "run", "shop/send");
    expect({ code, out }).toEqual({ code: 0, out: "hi\n" });
    expect(err).toContain("shop/send run 3 is complete after 2 s");
  });

  test("ends with the code of the program where there is one task", async () => {
    const { code, err } = await ask(routesTo(FAILED, 7), "job", "run", "send");
    expect(code).toBe(7);
    expect(err).toContain("failed with 0 of 1 task complete after 2 s: one task failed");
  });

  test("ends with 1 where several tasks have several codes", async () => {
    const end = { ...FAILED, wanted: 2 };
    expect((await ask(routesTo(end, 7), "job", "run", "send")).code).toBe(1);
  });

  test("tells in JSON how it ended", async () => {
    const { out } = await ask(routesTo(FAILED, 7), "job", "run", "send", "--json");
    const last: unknown = JSON.parse(out.trim().split("\n").at(-1) ?? "");
    expect(last).toMatchObject({ stack: "shop", run: 3, outcome: "failed", exitCode: 7 });
  });

  test("does not wait when told so", async () => {
    const { code, out } = await ask(routesTo(COMPLETE, 0), "job", "run", "send", "-d");
    expect({ code, out }).toEqual({ code: 0, out: "began shop/send run 3: see `orchd job ls`\n" });
  });

  test("makes a job of an image and its command line, as it stands", async () => {
    const applied: unknown[] = [];
    await ask(
      {
        ...routesTo(COMPLETE, 0),
        "GET /v1/resolve": () => problem("notFound", "there is no service named alpine"),
        "GET /v1/stacks": () => [],
        "GET /v1/services": () => [],
        "PUT /v1/stacks/hello": ({ body }) => {
          applied.push(JSON.parse(body));
          const plan = [{ action: "create", service: "hello/hello", detail: "" }];
          return { stack: "hello", plan, orphans: [] };
        },
      },
      ...["job", "run", "-d", "--name", "hello", "-e", "WHO=you", "--retries", "2"],
      ...["alpine", "sh", "-c", "echo $WHO ${NOBODY}", "--name"],
    );
    expect(applied).toMatchObject([
      {
        services: {
          hello: {
            mode: "replicated-job",
            job: { retries: 2 },
            container: {
              image: "alpine",
              command: ["sh", "-c", "echo $WHO ${NOBODY}", "--name"],
              environment: { WHO: "you" },
            },
          },
        },
      },
    ]);
  });

  test("runs the jobs of a file, an unchanged one too", async () => {
    const routes = {
      ...routesTo(COMPLETE, 0),
      "PUT /v1/stacks/shop": () => ({
        stack: "shop",
        plan: [{ action: "keep", service: "shop/send", detail: "" }],
        orphans: [],
      }),
    };
    const { code, out } = await ask(routes, "job", "run", "jobs.yaml", "--detach");
    expect({ code, out }).toEqual({ code: 0, out: "began shop/send run 3: see `orchd job ls`\n" });
  });

  test("refuses options of an image for a job that says so itself", async () => {
    const { code, err } = await ask(routesTo(COMPLETE, 0), "job", "run", "--rm", "shop/send");
    expect(code).toBe(2);
    expect(err).toContain("go with an image");
  });
});

test("orchd job ls shows how the latest runs stand", async () => {
  const { out } = await ask(routesTo(FAILED, 7), "job", "ls");
  expect(out).toMatch(/NAME +RUN +STATE +DONE/);
  expect(out).toMatch(/shop\/send +3 +failed +0\/1 .*one task failed/);
});

test("orchd cron ls shows when jobs run next and how the last run ended", async () => {
  const nextAt = Date.parse("2026-11-24T03:00:00Z");
  const schedule = { cron: "0 3 * * *", timeZone: "UTC", nextAt, skipped: 2 };
  const services = () => [aJob({ runs: [COMPLETE], ...schedule }), aServiceSummary()];
  const { out } = await ask({ "GET /v1/services": services }, "cron", "ls");
  expect(out).toMatch(/shop\/send +0 3 \* \* \* +UTC +2026-11-24T03:00:00Z, in .* complete +2/);
  expect(out).not.toContain("shop/web");
});

test("orchd job logs shows what the tasks of a run printed, or that there is none", async () => {
  expect((await ask(routesTo(COMPLETE, 0), "job", "logs", "send")).out).toBe("hi\n");
  await server?.stop();
  const { code, err } = await ask(routesTo(COMPLETE, 0), "job", "logs", "send", "--run", "9");
  expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining("no run 9 any more") });
});
