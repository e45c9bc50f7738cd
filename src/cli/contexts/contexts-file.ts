import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { OrchdError, systemCodeOf } from "../../lib/errors.ts";
import type { Io } from "../io.ts";

/** More than anybody's contexts take. */
const FILE_BYTES_MAX = 1024 * 1024;

const contextSchema = z.object({
  /** `host:port` */
  server: z.string().min(1).max(300),
  /** The text of an admin token. Never printed. */
  token: z.string().min(1).max(200),
  /** PEM, proved by the token's digest when the context was added. */
  caCertificate: z.string().min(1).max(8192),
});
/** A server on another machine, and what opens it. */
export type ServerContext = z.infer<typeof contextSchema>;

const contextsSchema = z.object({
  /** The context of commands that name none; absent means this machine's own socket. */
  selected: z.string().optional(),
  contexts: z.record(z.string(), contextSchema),
});
export type Contexts = z.infer<typeof contextsSchema>;

/** Where the contexts of whoever runs this are kept; undefined for one without a home. */
export function contextsPathOf(env: Io["env"]): string | undefined {
  const home = env["HOME"];
  const base = env["XDG_CONFIG_HOME"] || (home ? join(home, ".config") : undefined);
  // The rule of XDG: one that is not absolute does not count.
  return base?.startsWith("/") === true ? join(base, "orchd", "contexts.json") : undefined;
}

/**
 * What is kept; nothing where there is no file.
 * @throws OrchdError `forbidden` when others than its owner may read it, `damaged`
 */
export function readContexts(path: string | undefined): Contexts {
  const text = path === undefined ? undefined : readPrivate(path);
  if (path === undefined || text === undefined) return { contexts: {} };
  try {
    return contextsSchema.parse(JSON.parse(text));
  } catch {
    // Neither the parser's nor the schema's words are told: they could hold a token.
    const message = `${path} is damaged: remove it, and add the contexts again`;
    throw new OrchdError("damaged", message);
  }
}

function readPrivate(path: string): string | undefined {
  try {
    const { mode, size } = fs.statSync(path);
    if ((mode & 0o077) !== 0) {
      const message = `${path} holds tokens and others may read it: run \`chmod 600 ${path}\``;
      throw new OrchdError("forbidden", message);
    }
    if (size > FILE_BYTES_MAX) {
      throw new OrchdError("damaged", `${path} is far too large for contexts: remove it`);
    }
    return fs.readFileSync(path, "utf8");
  } catch (cause) {
    if (cause instanceof OrchdError) throw cause;
    const code = systemCodeOf(cause);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    const message = `the contexts in ${path} can't be read: see who owns it`;
    throw new OrchdError("forbidden", message, { cause });
  }
}

/**
 * Keeps the contexts, for their owner's eyes alone; a crash leaves either what was or what is new.
 * @throws OrchdError `forbidden`, `noSpace`
 */
export function writeContexts(path: string, contexts: Contexts): void {
  const beside = `${path}.${process.pid}.new`;
  try {
    fs.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    fs.rmSync(beside, { force: true });
    const file = fs.openSync(beside, "wx", 0o600);
    try {
      fs.writeSync(file, `${JSON.stringify(contexts, undefined, 2)}\n`);
      fs.fsyncSync(file);
    } finally {
      fs.closeSync(file);
    }
    fs.renameSync(beside, path);
  } catch (cause) {
    fs.rmSync(beside, { force: true });
    const code = systemCodeOf(cause) === "ENOSPC" ? "noSpace" : "forbidden";
    const message = `the contexts can't be kept in ${path}: see who owns it and what space is left`;
    throw new OrchdError(code, message, { cause });
  }
}
