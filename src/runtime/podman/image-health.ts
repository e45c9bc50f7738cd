import { z } from "zod";
import { healthcheckSchema, type Healthcheck } from "../../model/probe.ts";
import type { PodmanHttp } from "./http.ts";

const NANOSECONDS_PER_MS = 1e6;
const IMAGES_MAX = 1000;

const storedSchema = z
  .object({
    Test: z.array(z.string()).nullish(),
    Interval: z.number().nullish(),
    Timeout: z.number().nullish(),
    StartPeriod: z.number().nullish(),
    StartInterval: z.number().nullish(),
    Retries: z.number().nullish(),
  })
  .nullish();
/** Podman has it beside the image's configuration, Docker in it. */
const imageSchema = z.object({
  Healthcheck: storedSchema,
  Config: z.object({ Healthcheck: storedSchema }).nullish(),
});

/** What images say of their health. An image never changes, so each is looked at once. */
export class ImageHealth {
  readonly #http: PodmanHttp;
  readonly #known = new Map<string, Healthcheck | undefined>();

  constructor(http: PodmanHttp) {
    this.#http = http;
  }

  /** @param imageId a digest, which never means another image */
  async of(imageId: string): Promise<Healthcheck | undefined> {
    if (this.#known.has(imageId)) return this.#known.get(imageId);
    const image = await this.#http.json(imageSchema, "GET", `/images/${imageId}/json`);
    const found = parseImageHealth(image.Healthcheck ?? image.Config?.Healthcheck ?? {});
    if (this.#known.size >= IMAGES_MAX) this.#known.clear();
    this.#known.set(imageId, found);
    return found;
  }
}

/** As a Dockerfile's HEALTHCHECK is stored: times in nanoseconds, 0 for what it does not say. */
export function parseImageHealth(
  stored: NonNullable<z.infer<typeof storedSchema>>,
): Healthcheck | undefined {
  const command = commandOf(stored.Test ?? []);
  if (command === undefined) return undefined;
  const said = (value: number | null | undefined, unit = NANOSECONDS_PER_MS) =>
    value === undefined || value === null || value <= 0 ? undefined : Math.ceil(value / unit);
  const times = {
    intervalMs: said(stored.Interval),
    timeoutMs: said(stored.Timeout),
    startPeriodMs: said(stored.StartPeriod),
    startIntervalMs: said(stored.StartInterval),
    failures: said(stored.Retries, 1),
  };
  const given = Object.entries(times).filter(([, value]) => value !== undefined);
  const check = { type: "exec", command };
  const parsed = healthcheckSchema.safeParse({
    disabled: false,
    check,
    ...Object.fromEntries(given),
  });
  // Times that make no sense are not the image's to give.
  return parsed.data ?? healthcheckSchema.safeParse({ disabled: false, check }).data;
}

function commandOf([kind, ...words]: readonly string[]): string[] | undefined {
  if (kind === "CMD-SHELL") return ["/bin/sh", "-c", ...words];
  return kind === "CMD" && words.length > 0 ? words : undefined;
}
