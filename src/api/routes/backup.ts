import { Hono } from "hono";
import { z } from "zod";
import { clusterBackupStatusSchema } from "../../model/cluster-backup.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import { downloadOf } from "../download.ts";
import type { ApiEnv } from "../env.ts";
import { plainJson, validJson } from "../validation.ts";

const backupBody = z.object({ passphrase: z.string().min(1).max(1024).optional() });

export function backupRoutes(deps: ApiDeps): Hono<ApiEnv> {
  return new Hono<ApiEnv>()
    .get(
      "/backup",
      describe({
        summary: "How the server's own backups of the cluster go",
        answer: clusterBackupStatusSchema,
      }),
      (c) => c.json(deps.clusterBackup.status()),
    )
    .post(
      "/backup",
      describe({
        summary: "A backup of the cluster's state, as an archive; sealed with a passphrase",
        as: "bytes",
      }),
      plainJson,
      validJson(backupBody),
      async (c) => {
        const stream = await deps.clusterBackup.make(c.req.valid("json").passphrase);
        return downloadOf(c, stream);
      },
    );
}
