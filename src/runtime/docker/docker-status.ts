import { z } from "zod";
import type { Inspected } from "../podman/container-status.ts";

const labelsSchema = z.record(z.string(), z.string()).nullish();

export const listedSchema = z.object({ Id: z.string() });

/** `GET /containers/ID/json` of Docker, in the shape of Podman's. */
export const inspectedSchema = z
  .object({
    Id: z.string(),
    Image: z.string().default(""),
    LogPath: z.string().default(""),
    State: z.object({
      Status: z.string(),
      OOMKilled: z.boolean(),
      ExitCode: z.number(),
      StartedAt: z.string(),
      FinishedAt: z.string(),
    }),
    Config: z.object({ Labels: labelsSchema, Tty: z.boolean().default(false) }),
    HostConfig: z.object({ LogConfig: z.object({ Type: z.string() }) }),
  })
  .transform(({ LogPath, HostConfig, State, ...same }): Inspected => ({
    ...same,
    OCIRuntime: "",
    // Docker has no monitors that could be lost.
    State: { ...State, Pid: 0, ConmonPid: 0 },
    // Docker hears itself of a container that was killed for its limit.
    HostConfig: { LogConfig: { Type: HostConfig.LogConfig.Type, Path: LogPath }, Memory: 0 },
  }));
