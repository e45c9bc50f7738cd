import { dirname, join } from "node:path/posix";
import { lineAt, walk, type Breach, type Source } from "./source.ts";

/** What one band of `src` may import, of ours (path prefixes under `src/`) and of others. */
interface Band {
  band: string;
  ours: string[];
  packages: string[];
}

const BUILTINS = ["node:*", "bun", "bun:*"];
const CORE = ["core/", "model/", "lib/"];
const CLIENT = "api/client";

/** The import table of src/README.md. The first band that a path begins with counts. */
export const BANDS: Band[] = [
  { band: "lib/", ours: ["lib/"], packages: [] },
  { band: "model/", ours: ["model/", "lib/"], packages: ["zod"] },
  // Node's CRC is a function like those of the language, which would need a minute for it.
  {
    band: "core/archive/",
    ours: ["core/archive/", "model/", "lib/"],
    packages: ["zod", "node:zlib"],
  },
  {
    band: "core/gossip/",
    ours: ["core/gossip/", "model/", "lib/"],
    packages: ["zod", "node:zlib"],
  },
  { band: "core/", ours: ["model/", "lib/"], packages: ["zod", "yaml"] },
  { band: "store/", ours: ["store/", ...CORE], packages: ["drizzle-orm", "zod", ...BUILTINS] },
  {
    band: "runtime/",
    ours: ["runtime/", ...CORE],
    packages: ["zod", "@grpc/grpc-js", "protobufjs", ...BUILTINS],
  },
  {
    band: "pki/",
    ours: ["pki/", ...CORE],
    packages: ["@peculiar/x509", "reflect-metadata", "zod", ...BUILTINS],
  },
  { band: "images/", ours: ["images/", ...CORE], packages: ["zod", ...BUILTINS] },
  { band: "net/", ours: ["net/", ...CORE], packages: ["dns-packet", "zod", ...BUILTINS] },
  { band: "session/", ours: ["session/", ...CORE], packages: ["ws", "zod", ...BUILTINS] },
  {
    band: "api/",
    // A client proves a server by the digest in its token, as the server made it.
    ours: ["api/", "store/store.ts", "pki/digest.ts", ...CORE],
    packages: ["hono", "hono-openapi", "zod", ...BUILTINS],
  },
  { band: "tree/", ours: ["tree/", ...CORE], packages: BUILTINS },
  {
    band: "agent/",
    ours: [
      ...["agent/", CLIENT, "session/", "store/", "runtime/", "images/", "net/", "pki/", "tree/"],
      ...CORE,
    ],
    packages: ["zod", ...BUILTINS],
  },
  {
    band: "server/",
    ours: [
      ...["server/", "api/", "agent/", "session/", "store/", "runtime/", "images/", "net/", "pki/"],
      ...CORE,
    ],
    packages: ["hono", "zod", ...BUILTINS],
  },
  {
    band: "cli/",
    ours: [
      ...["cli/", CLIENT, "core/compose/", "core/archive/", "core/oci/", "core/upgrade/", "tree/"],
      // A bundle is made where its signing key is; neither that nor a plain secret leaves there.
      ...["pki/release-key.ts", "pki/box.ts", "model/", "lib/"],
    ],
    packages: ["commander", "zod", ...BUILTINS],
  },
  {
    band: "dashboard/",
    ours: ["dashboard/", CLIENT, "model/", "lib/"],
    packages: ["preact"],
  },
];

/** Imports that the table does not allow, and those that leave out the file's extension. */
export function findImportBreaches(source: Source): Breach[] {
  if (source.program === undefined) return [];
  const breaches: Breach[] = [];
  walk(source.program, (node) => {
    const specifier = specifierOf(node);
    if (specifier === undefined) return;
    const message = whyForbidden(source.path, specifier.value);
    if (message !== undefined) {
      breaches.push({ path: source.path, line: lineAt(source.text, specifier.start), message });
    }
  });
  return breaches;
}

function specifierOf(node: unknown): { value: string; start: number } | undefined {
  if (typeof node !== "object" || node === null || !("type" in node)) return undefined;
  const kinds = [
    "ImportDeclaration",
    "ExportNamedDeclaration",
    "ExportAllDeclaration",
    "ImportExpression",
    "TSImportType",
  ];
  if (!kinds.includes(String(node.type)) || !("source" in node)) return undefined;
  const { source } = node;
  if (typeof source !== "object" || source === null || !("value" in source)) return undefined;
  const start = "start" in source ? Number(source.start) : 0;
  return { value: String(source.value), start };
}

function whyForbidden(path: string, specifier: string): string | undefined {
  const relative = specifier.startsWith(".");
  if (relative && !/\.(ts|tsx|json|sql|html)$/.test(specifier)) {
    return `imports ${specifier} without its extension`;
  }
  if (!path.startsWith("src/") || path === "src/main.ts") return undefined;
  const from = path.slice("src/".length);
  const band = BANDS.find((candidate) => from.startsWith(candidate.band));
  if (band === undefined) return "stands in no band of the import table";
  if (!relative) {
    if (band.packages.some((allowed) => matchesPackage(specifier, allowed))) return undefined;
    return `${band.band} may not import the package ${specifier}`;
  }
  const target = join(dirname(path), specifier);
  if (!target.startsWith("src/")) return `imports ${specifier} from outside src`;
  const to = target.slice("src/".length);
  if (band.band === "core/" && coreFolder(from) === coreFolder(to)) return undefined;
  if (band.ours.some((prefix) => to.startsWith(prefix))) return undefined;
  return `${from} may not import ${to}`;
}

function matchesPackage(specifier: string, allowed: string): boolean {
  if (allowed.endsWith("*")) return specifier.startsWith(allowed.slice(0, -1));
  return specifier === allowed || specifier.startsWith(`${allowed}/`);
}

/** `core/task` of `core/task/step.ts`: a core folder imports itself, never a sibling. */
function coreFolder(path: string): string {
  return path.split("/").slice(0, 2).join("/");
}
