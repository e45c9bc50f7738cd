import { describe, expect, test } from "bun:test";
import {
  exitCodeOf,
  httpStatusOf,
  isErrorCode,
  messageChainOf,
  messageOf,
  OrchdError,
  systemCodeOf,
} from "../../../src/lib/errors.ts";

describe("an operating error", () => {
  test("is not to be tried again unless it says so", () => {
    expect(new OrchdError("runtime", "it failed").retryable).toBe(false);
    expect(new OrchdError("unreachable", "it is away", { retryable: true }).retryable).toBe(true);
  });

  test("is told with its causes, the outermost first", () => {
    const cause = new Error("socket closed", { cause: "peer went away" });
    const error = new OrchdError("unreachable", "Podman does not answer", { cause });
    expect(messageChainOf(error)).toBe("Podman does not answer: socket closed: peer went away");
  });

  test("is told to an end even when its causes go round in a circle", () => {
    const error = new Error("again");
    error.cause = error;
    expect(messageChainOf(error).split(": ")).toHaveLength(8);
  });
});

test("codes stand for an HTTP status and an exit code", () => {
  expect([httpStatusOf("notFound"), exitCodeOf("notFound")]).toEqual([404, 1]);
  expect([httpStatusOf("timedOut"), exitCodeOf("timedOut")]).toEqual([504, 4]);
  expect([exitCodeOf("usage"), exitCodeOf("unreachable")]).toEqual([2, 3]);
});

test("only the closed list of codes counts, whatever an object inherits", () => {
  expect(isErrorCode("conflict")).toBe(true);
  expect(isErrorCode("toString")).toBe(false);
});

test("anything thrown has a message, and the system's code where it carries one", () => {
  expect(messageOf("plain text")).toBe("plain text");
  expect(systemCodeOf(Object.assign(new Error("x"), { code: "ENOSPC" }))).toBe("ENOSPC");
  expect(systemCodeOf({ code: 28 })).toBeUndefined();
  expect(systemCodeOf(undefined)).toBeUndefined();
});
