import { Hono } from "hono";
import { protectRequestSchema, unlockRequestSchema, vaultStatusSchema } from "../../model/vault.ts";
import type { ApiDeps } from "../deps.ts";
import { describe } from "../describe.ts";
import type { ApiEnv } from "../env.ts";
import { plainJson, validJson } from "../validation.ts";

export function vaultRoutes(deps: ApiDeps): Hono<ApiEnv> {
  const { secrets } = deps;
  return new Hono<ApiEnv>()
    .get(
      "/vault",
      describe({
        summary: "Whether secrets can be opened, and what opens them at a start",
        answer: vaultStatusSchema,
      }),
      (c) => c.json(secrets.status()),
    )
    .post(
      "/vault/unlock",
      describe({
        summary: "Opens the secrets with the passphrase, or by the key file once more",
        answer: vaultStatusSchema,
      }),
      plainJson,
      validJson(unlockRequestSchema),
      async (c) => {
        await secrets.unlock(c.req.valid("json").passphrase);
        return c.json(secrets.status());
      },
    )
    .post(
      "/vault/key",
      describe({
        summary: "Makes a new key for the contents, and seals all of them anew",
        answer: vaultStatusSchema,
      }),
      async (c) => {
        await secrets.rotateKey();
        return c.json(secrets.status());
      },
    )
    .put(
      "/vault/protection",
      describe({
        summary: "Lets a passphrase open the secrets from now on, or a new key file",
        answer: vaultStatusSchema,
      }),
      plainJson,
      validJson(protectRequestSchema),
      async (c) => {
        await secrets.protect(c.req.valid("json").passphrase);
        return c.json(secrets.status());
      },
    )
    .delete(
      "/vault",
      describe({
        summary: "Forgets every secret and config, where nobody can open them any more",
        answer: vaultStatusSchema,
      }),
      async (c) => {
        await secrets.reset();
        return c.json(secrets.status());
      },
    );
}
