import type { ApiClient } from "../api/client.ts";
import { usageError } from "./context.ts";

/**
 * The service that a person named.
 * @throws OrchdError `usage` when it is something else, `notFound`, `conflict`
 */
export async function serviceNamed(
  client: ApiClient,
  target: string,
): Promise<{ stack: string; service: string }> {
  const { kind, name, stack, service } = await client.resolve(target);
  if (kind !== "service" || stack === undefined || service === undefined) {
    throw usageError(`${name} is a ${kind}: name a service, as \`orchd services\` lists them`);
  }
  return { stack, service };
}
