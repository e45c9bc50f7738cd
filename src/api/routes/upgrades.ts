import { Hono } from "hono";
import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import {
  executableSchema,
  type UpgradeStatus,
  upgradeRequestSchema,
  upgradeStatusSchema,
} from "../../model/upgrade.ts";
import { whileAdmitted } from "../admitted.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import type { ApiEnv } from "../env.ts";
import { sendChanges } from "../progress.ts";
import { upgradeStatus } from "../read/upgrade-status.ts";
import { streamLines } from "../stream.ts";
import { plainJson, validJson } from "../validation.ts";

/** Other executables of orchd for its nodes. */
export function upgradeRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>().route("/", executableRoutes(deps)).route("/", runRoutes(deps));
}

function executableRoutes({ upgrades }: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get(
      "/executables",
      describe({
        summary: "The executables of orchd that the site keeps",
        answer: z.array(executableSchema),
      }),
      async (c) => c.json(await upgrades.executables()),
    )
    .post(
      "/executables",
      describe({
        summary: "Keeps an executable of orchd, which says itself what it is",
        answer: executableSchema,
        status: 201,
        body: { media: "application/octet-stream", description: "An executable of orchd." },
      }),
      async (c) => {
        const { body } = c.req.raw;
        if (body === null) throw new OrchdError("invalid", "the body must be an executable");
        return c.json(await whileAdmitted(c.get("admission"), upgrades.receive(body)), 201);
      },
    );
}

function runRoutes(deps: ApiDeps): Hono<ApiEnv> {
  const { upgrades } = deps;
  return new Hono<ApiEnv>()
    .get(
      "/upgrade",
      describe({
        summary: "The upgrade of orchd that is under way, or was last",
        answer: upgradeStatusSchema,
      }),
      (c) => c.json(statusOf(deps)),
    )
    .post(
      "/upgrade",
      describe({
        summary: "Has nodes run another version of orchd, so many at once; containers go on",
        answer: upgradeStatusSchema,
        status: 202,
      }),
      plainJson,
      validJson(upgradeRequestSchema),
      async (c) => {
        await upgrades.begin(c.req.valid("json"));
        return c.json(statusOf(deps), 202);
      },
    )
    .delete(
      "/upgrade",
      describe({
        summary: "Tells no more nodes; those that were told come to their end",
        answer: upgradeStatusSchema,
      }),
      async (c) => {
        await upgrades.cancel();
        return c.json(statusOf(deps));
      },
    )
    .get(
      "/upgrade/progress",
      describe({
        summary: "How far the upgrade is: now, and at each change until it ends",
        answer: upgradeStatusSchema,
        as: "stream",
      }),
      (c) => {
        const first = statusOf(deps);
        const isLast = (status: UpgradeStatus) => isOver(status) || status.run !== first.run;
        return streamLines(c, deps, (sink) =>
          sendChanges(deps, sink, () => statusOf(deps), isLast),
        );
      },
    );
}

/** Nodes that were told come to their end also when no more are. */
function isOver({ state, nodes }: UpgradeStatus): boolean {
  const isAtIt = nodes.some((one) => one.state === "preparing" || one.state === "trying");
  return state !== "running" && !isAtIt;
}

function statusOf({ store, upgrades }: ApiDeps): UpgradeStatus {
  const view = store.view();
  if (view.upgrade === undefined) {
    throw new OrchdError("notFound", "orchd was not upgraded from here yet");
  }
  return upgradeStatus(view, view.upgrade, upgrades);
}
