import { Hono } from "hono";
import { z } from "zod";
import { OrchdError } from "../../lib/errors.ts";
import type { ServiceId } from "../../model/ids.ts";
import { formatServiceName } from "../../model/names.ts";
import { REPLICAS_MAX, isGlobal, type Service, specOf } from "../../model/service.ts";
import { progressSchema, scaleRequestSchema, serviceSummarySchema } from "../../model/summary.ts";
import { startedRunSchema } from "../../model/summary.ts";
import type { View } from "../../model/view.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import type { ApiEnv } from "../env.ts";
import { sendProgress } from "../progress.ts";
import { serviceSummaries, serviceSummary } from "../read/service-summary.ts";
import { serviceProgress } from "../read/stack-summary.ts";
import { findService, serviceNamed } from "../read/target.ts";
import { streamLines } from "../stream.ts";
import {
  nameText,
  plainJson,
  serviceParam,
  validJson,
  validParam,
  validQuery,
} from "../validation.ts";

const listQuery = z.object({ stack: nameText.optional() });

export function serviceRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get(
      "/services",
      describe({ summary: "All services, by name", answer: z.array(serviceSummarySchema) }),
      validQuery(listQuery),
      (c) => c.json(serviceSummaries(deps.store.view(), c.req.valid("query").stack)),
    )
    .post(
      "/scale",
      describe({
        summary: "Sets the replicas of all the services named, or of none",
        answer: z.array(serviceSummarySchema),
      }),
      plainJson,
      validJson(scaleRequestSchema),
      async (c) => {
        const wanted = scalesOf(deps.store.view(), c.req.valid("json").services);
        await deps.scale(wanted);
        return c.json([...wanted.keys()].flatMap((id) => summaryById(deps.store.view(), id)));
      },
    )
    .post(
      "/services/:stack/:service/restart",
      describe({
        summary: "Replaces all tasks of the service; runs a job again",
        answer: serviceSummarySchema,
      }),
      validParam(serviceParam),
      async (c) => {
        const { id } = findService(deps.store.view(), c.req.valid("param"));
        await deps.restart(id);
        return c.json(
          serviceSummary(deps.store.view(), findService(deps.store.view(), c.req.valid("param"))),
        );
      },
    )
    .post(
      "/services/:stack/:service/run",
      describe({ summary: "Begins a run of a job now", answer: startedRunSchema }),
      validParam(serviceParam),
      async (c) => {
        const { id, stack, name } = findService(deps.store.view(), c.req.valid("param"));
        return c.json({ stack, service: name, run: await deps.runJob(id) });
      },
    )
    .get(
      "/services/:stack/:service/progress",
      describe({
        summary: "How far the service is: now, and at each change until it is removed",
        answer: progressSchema,
        as: "stream",
      }),
      validParam(serviceParam),
      (c) => {
        const { stack, name } = findService(deps.store.view(), c.req.valid("param"));
        const read = () => serviceProgress(deps.store.view(), stack, name);
        return streamLines(c, deps, (sink) => sendProgress(deps, sink, read));
      },
    );
}

/** Which service gets how many replicas; throws for the first that can't have them. */
function scalesOf(view: View, asked: Record<string, number>): Map<ServiceId, number> {
  const wanted = new Map<ServiceId, number>();
  for (const [text, replicas] of Object.entries(asked)) {
    const service = serviceNamed(view, text);
    const name = formatServiceName(service.stack, service.name);
    refuseScale(service, name, replicas);
    if (wanted.has(service.id)) throw new OrchdError("invalid", `${name} is named twice`);
    wanted.set(service.id, replicas);
  }
  if (wanted.size === 0) throw new OrchdError("invalid", "no service is named: nothing to scale");
  return wanted;
}

function refuseScale(service: Service, name: string, replicas: number): void {
  if (service.removing) throw new OrchdError("conflict", `${name} is being removed`);
  if (isGlobal(specOf(service))) {
    const why = "it has one task on each fitting node";
    const message = `${name} is a global service: ${why} and can't be scaled`;
    throw new OrchdError("invalid", message);
  }
  if (replicas > REPLICAS_MAX) {
    throw new OrchdError("invalid", `${name} can have at most ${REPLICAS_MAX} replicas`);
  }
}

function summaryById(view: View, id: ServiceId) {
  const service = view.services.get(id);
  return service === undefined ? [] : [serviceSummary(view, service)];
}
