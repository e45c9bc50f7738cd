import { OrchdError } from "../../lib/errors.ts";

/** How a fake container behaves, as its labels say; the README of src/runtime lists them. */
export interface FakeScript {
  createDelayMs: number;
  createError?: string;
  imageMissing: boolean;
  startDelayMs: number;
  startError?: string;
  exitAfterMs?: number;
  exitCode: number;
  outOfMemory: boolean;
  ignoreStop: boolean;
  output: readonly string[];
  /** Cores that it keeps busy. */
  cpu: number;
  memoryBytes: number;
  /** It passes every check from so long after its start on. */
  healthyAfterMs: number;
  /** … until so long after it; absent means for ever. */
  unhealthyAfterMs?: number;
}

const PREFIX = "orchd.fake/";
const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Reads the labels. Throws `OrchdError` `invalid` for one that is misspelt or makes no sense. */
export function parseFakeScript(labels: Readonly<Record<string, string>>): FakeScript {
  const script: FakeScript = {
    createDelayMs: 0,
    imageMissing: false,
    startDelayMs: 0,
    exitCode: 0,
    outOfMemory: false,
    ignoreStop: false,
    output: [],
    cpu: 0,
    memoryBytes: 0,
    healthyAfterMs: 0,
  };
  for (const [label, value] of Object.entries(labels)) {
    if (label.startsWith(PREFIX)) applyLabel(script, label.slice(PREFIX.length), value);
  }
  return script;
}

function applyLabel(script: FakeScript, name: string, value: string): void {
  switch (name) {
    case "create-delay":
      script.createDelayMs = durationOf(name, value);
      return;
    case "create-error":
      script.createError = value;
      return;
    case "image-missing":
      script.imageMissing = flagOf(name, value);
      return;
    case "start-delay":
      script.startDelayMs = durationOf(name, value);
      return;
    case "start-error":
      script.startError = value;
      return;
    case "exit-after":
      script.exitAfterMs = durationOf(name, value);
      return;
    case "exit-code":
      if (!/^\d{1,3}$/.test(value)) throw badLabel(name, value);
      script.exitCode = Number(value);
      return;
    case "out-of-memory":
      script.outOfMemory = flagOf(name, value);
      return;
    case "ignore-stop":
      script.ignoreStop = flagOf(name, value);
      return;
    case "cpu":
      script.cpu = numberOf(name, value);
      return;
    case "memory":
      script.memoryBytes = numberOf(name, value);
      return;
    case "healthy-after":
      script.healthyAfterMs = durationOf(name, value);
      return;
    case "unhealthy-after":
      script.unhealthyAfterMs = durationOf(name, value);
      return;
    case "output":
      script.output = value.split("\n");
      return;
    default:
      throw badLabel(name, value);
  }
}

function durationOf(name: string, value: string): number {
  const [, amount, unit = "s"] = value.match(/^(\d+(?:\.\d+)?)(ms|s|m|h)?$/) ?? [];
  if (amount === undefined) throw badLabel(name, value);
  return Number(amount) * (UNITS_MS[unit] ?? 1000);
}

function numberOf(name: string, value: string): number {
  if (!/^\d{1,12}(?:\.\d{1,6})?$/.test(value)) throw badLabel(name, value);
  return Number(value);
}

function flagOf(name: string, value: string): boolean {
  if (value !== "true" && value !== "false") throw badLabel(name, value);
  return value === "true";
}

function badLabel(name: string, value: string): OrchdError {
  const message = `the fake runtime does not understand the label ${PREFIX}${name}=${value}`;
  return new OrchdError("invalid", message);
}
