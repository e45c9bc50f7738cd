import { describe, expect, test } from "bun:test";
import {
  formatServiceName,
  parseServiceName,
  serviceNameSchema,
  stackNameSchema,
} from "../../../src/model/names.ts";

describe("a name that could leave its place is refused", () => {
  const bad = ["", ".", "..", "../etc", "-rf", "a/b", "a b", "a\nb", "ä", "a-", "a".repeat(64)];
  for (const name of bad) {
    test(JSON.stringify(name), () => {
      expect(stackNameSchema.safeParse(name).success).toBe(false);
      expect(serviceNameSchema.safeParse(name).success).toBe(false);
    });
  }
});

test("names are single letters to 63 characters; only services may have capitals and dots", () => {
  for (const name of ["a", "web-1", "my_app", "a".repeat(63)]) {
    expect(stackNameSchema.safeParse(name).success).toBe(true);
  }
  expect(stackNameSchema.safeParse("Web.1").success).toBe(false);
  expect(serviceNameSchema.safeParse("Web.1").success).toBe(true);
});

test("a service is named with its stack, or without where nothing else has the name", () => {
  expect(parseServiceName(formatServiceName("shop", "web"))).toEqual({
    stack: "shop",
    service: "web",
  });
  expect(parseServiceName("web")).toEqual({ service: "web" });
});
