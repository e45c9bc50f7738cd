import { describe, expect, test } from "bun:test";
import {
  asksImage,
  checkSchema,
  effectiveProbes,
  formatCheck,
  gatesTraffic,
  HEALTHCHECK_DEFAULTS,
  type Healthcheck,
} from "../../../src/model/probe.ts";
import { aProbe } from "../../builders.ts";

const own: Healthcheck = {
  disabled: false,
  check: { type: "exec", command: ["own"] },
  intervalMs: 1000,
};
const image: Healthcheck = {
  disabled: false,
  check: { type: "exec", command: ["of-the-image"] },
  intervalMs: 7000,
  failures: 9,
};

describe("what is asked of a task", () => {
  test("is what its file says, then its image, then Docker's own", () => {
    expect(effectiveProbes({ healthcheck: own }, image)).toEqual({
      healthcheck: {
        ...HEALTHCHECK_DEFAULTS,
        check: own.check ?? fail(),
        intervalMs: 1000,
        failures: 9,
      },
    });
    expect(effectiveProbes({ healthcheck: { disabled: false, failures: 1 } }, image)).toEqual({
      healthcheck: {
        ...HEALTHCHECK_DEFAULTS,
        check: image.check ?? fail(),
        intervalMs: 7000,
        failures: 1,
      },
    });
    expect(effectiveProbes(undefined, image).healthcheck?.check).toEqual(image.check ?? fail());
  });

  test("is nothing where neither has a command, or the file switches it off", () => {
    expect(effectiveProbes(undefined, undefined)).toEqual({});
    expect(effectiveProbes({ healthcheck: { disabled: false, intervalMs: 5 } }, undefined)).toEqual(
      {},
    );
    expect(effectiveProbes({ healthcheck: { disabled: true } }, image)).toEqual({});
    expect(effectiveProbes(undefined, { disabled: true })).toEqual({});
  });

  test("is ready and live instead of the image's own, and startup beside it", () => {
    expect(Object.keys(effectiveProbes({ ready: aProbe() }, image))).toEqual(["ready"]);
    expect(Object.keys(effectiveProbes({ live: aProbe() }, image))).toEqual(["live"]);
    const keys = Object.keys(effectiveProbes({ startup: aProbe() }, image));
    expect(keys).toEqual(["startup", "healthcheck"]);
    expect([undefined, { startup: aProbe() }, { ready: aProbe() }].map(asksImage)).toEqual([
      true,
      true,
      false,
    ]);
  });

  test("says whether a task waits for traffic, unless it is only whether it lives", () => {
    expect(gatesTraffic({ live: aProbe() })).toBe(false);
    expect(gatesTraffic({ healthcheck: aProbe() })).toBe(true);
    expect(gatesTraffic({ startup: aProbe() })).toBe(true);
  });
});

describe("a check", () => {
  const http = { type: "http", scheme: "http", port: 80, path: "/", headers: {} };

  test("has nothing in it that could break out of its request", () => {
    expect(checkSchema.safeParse(http).success).toBe(true);
    for (const bad of [
      { path: "/ HTTP/1.1\r\nx: y" },
      { path: "health" },
      { path: "/\u00e9" },
      { host: "a\r\nb" },
      { host: "" },
      { headers: { "a b": "c" } },
      { headers: { a: "b\nc" } },
      { headers: { "": "b" } },
      { port: 0 },
    ]) {
      expect(checkSchema.safeParse({ ...http, ...bad }).success).toBe(false);
    }
  });

  test("is told in a few words", () => {
    expect(
      [
        { type: "exec", command: ["/bin/sh", "-c", "curl -f x"] } as const,
        { type: "exec", command: ["pg_isready", "-q"] } as const,
        { ...http, path: "/a" } as const,
        { type: "tcp", port: 5432 } as const,
        { type: "grpc", port: 9000, service: "shop" } as const,
      ].map((check) => formatCheck(checkSchema.parse(check))),
    ).toEqual(["curl -f x", "pg_isready -q", "GET http :80/a", "tcp :5432", "grpc :9000 shop"]);
  });
});

function fail(): never {
  throw new Error("there is no check");
}
