import { Hono } from "hono";
import { z } from "zod";
import { networkInspectionSchema, networkSummarySchema } from "../../model/network-summary.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import type { ApiEnv } from "../env.ts";
import { networkInspection, networkSummaries } from "../read/networks.ts";
import { nameText, validParam } from "../validation.ts";

const networkParam = z.object({ network: nameText });

export function networkRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get(
      "/networks",
      describe({ summary: "Networks that services are in", answer: z.array(networkSummarySchema) }),
      (c) => c.json(networkSummaries(deps.store.view())),
    )
    .get(
      "/networks/:network",
      describe({
        summary: "One network: its services, by which names and addresses, and their tasks",
        answer: networkInspectionSchema,
      }),
      validParam(networkParam),
      (c) => c.json(networkInspection(deps.store.view(), c.req.valid("param").network)),
    );
}
