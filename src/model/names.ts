import { z } from "zod";

/** Names become parts of container names, DNS labels and paths: letters, digits, inner `-`, `_`. */
export const NAME_PATTERN = /^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$/;

/** Service names may hold capitals and dots, as the Compose Specification allows. */
export const SERVICE_NAME_PATTERN = /^[a-zA-Z0-9](?:[a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?$/;

export const stackNameSchema = z
  .string()
  .regex(
    NAME_PATTERN,
    "must be 1 to 63 lower-case letters, digits, '-' or '_', with a letter or digit at both ends",
  );

export const serviceNameSchema = z
  .string()
  .regex(
    SERVICE_NAME_PATTERN,
    "must be 1 to 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends",
  );

/** `shop/web`: how people name a service. */
export function formatServiceName(stack: string, service: string): string {
  return `${stack}/${service}`;
}

/** Splits `shop/web` into its two names; `web` alone has no stack. */
export function parseServiceName(text: string): { stack?: string; service: string } {
  const slash = text.indexOf("/");
  if (slash < 0) return { service: text };
  return { stack: text.slice(0, slash), service: text.slice(slash + 1) };
}
