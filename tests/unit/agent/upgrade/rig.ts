import { createHash } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installedAt, ownExecutable, SlotFiles } from "../../../../src/agent/upgrade/slot-files.ts";
import { beginTrial } from "../../../../src/core/upgrade/launch.ts";
import type { SlotContent, Slots } from "../../../../src/model/slots.ts";

/** A data directory of this test alone. */
export function aDataDir(): { dataDir: string } & Disposable {
  const dataDir = mkdtempSync(join(tmpdir(), "orchd-upgrade-"));
  return { dataDir, [Symbol.dispose]: () => rmSync(dataDir, { recursive: true }) };
}

export function contentOf(text: string | Uint8Array, version = "2.0.0"): SlotContent {
  const digest = `sha256:${createHash("sha256").update(text).digest("hex")}`;
  return { version, digest, sizeBytes: Buffer.byteLength(text) };
}

export async function* bytesOf(text: string | Uint8Array): AsyncGenerator<Uint8Array> {
  yield typeof text === "string" ? new TextEncoder().encode(text) : text;
}

/** The state of a machine whose installed executable is the one that runs this test. */
export function installedHere(): Slots {
  const installed = installedAt(ownExecutable());
  return { format: 1, installed, active: "installed", former: "installed" };
}

/** Has a program in slot `a`, to be tried at the next start. */
export async function aTrial(
  dataDir: string,
  script: string | Uint8Array,
  withinMs = 5000,
): Promise<SlotFiles> {
  const files = new SlotFiles(dataDir);
  const content = contentOf(script);
  await files.fill("a", content, bytesOf(script));
  files.write(beginTrial(installedHere(), { id: "u1", slot: "a", withinMs, content }));
  chmodSync(files.pathOf("a"), 0o700);
  return files;
}
