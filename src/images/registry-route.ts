import { isDigest, isTag, repositoryFromWire } from "../core/oci/reference.ts";
import { RegistryError } from "./registry-error.ts";

/** What an address of a registry means: OCI distribution specification 1.1, "Endpoints". */
export type RegistryRoute =
  | { kind: "version" }
  /** `name` is the repository as the address has it. */
  | { kind: "manifest"; name: string; repository: string; reference: string }
  | { kind: "blob"; name: string; repository: string; digest: string }
  /** Without an id, the place where uploads begin. */
  | { kind: "upload"; name: string; repository: string; id: string | undefined }
  | { kind: "tags" | "referrers"; name: string; repository: string; digest: string };

const ROUTES: readonly [RegExp, "manifest" | "blob" | "upload" | "tags" | "referrers"][] = [
  [/^\/v2\/(.+)\/manifests\/([^/]+)$/, "manifest"],
  [/^\/v2\/(.+)\/blobs\/uploads(?:\/([^/]*))?$/, "upload"],
  [/^\/v2\/(.+)\/blobs\/([^/]+)$/, "blob"],
  [/^\/v2\/(.+)\/tags\/list$/, "tags"],
  [/^\/v2\/(.+)\/referrers\/([^/]+)$/, "referrers"],
];
const ADDRESS_MAX = 1024;

/**
 * @returns undefined for an address that is none of a registry
 * @throws RegistryError when a name, tag or digest in it is none
 */
export function parseRegistryPath(path: string): RegistryRoute | undefined {
  if (path === "/v2" || path === "/v2/") return { kind: "version" };
  if (path.length > ADDRESS_MAX) throw new RegistryError("NAME_INVALID", "the name is too long");
  for (const [pattern, kind] of ROUTES) {
    const [, name, last = ""] = pattern.exec(path) ?? [];
    if (name === undefined) continue;
    const repository = repositoryFromWire(name);
    if (repository === undefined) {
      throw new RegistryError("NAME_INVALID", "the name of the repository is none");
    }
    switch (kind) {
      case "manifest":
        if (!isDigest(last) && !isTag(last)) {
          throw new RegistryError("MANIFEST_UNKNOWN", "that is neither a tag nor a digest");
        }
        return { kind, name, repository, reference: last };
      case "upload":
        return { kind, name, repository, id: last === "" ? undefined : last };
      case "blob":
      case "referrers":
        if (!isDigest(last)) {
          throw new RegistryError("DIGEST_INVALID", "that is no digest of SHA-256");
        }
        return { kind, name, repository, digest: last };
      case "tags":
        return { kind, name, repository, digest: "" };
    }
  }
  return undefined;
}
