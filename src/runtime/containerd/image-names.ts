import { qualifiedNameOf } from "../podman/images.ts";

/** A name as containerd keeps it: with its registry, and its tag or digest. */
export function keptNameOf(reference: string): string {
  const name = qualifiedNameOf(reference);
  const digest = digestIn(name);
  if (digest !== undefined) return `${repositoryOf(name)}@${digest}`;
  return hasTag(name) ? name : `${name}:latest`;
}

/** `host:5000/web` of `host:5000/web:1` and of `host:5000/web:1@sha256:…`. */
export function repositoryOf(reference: string): string {
  const [name = ""] = reference.split("@");
  return hasTag(name) ? name.slice(0, name.lastIndexOf(":")) : name;
}

export function digestIn(reference: string): string | undefined {
  return reference.match(/@(sha256:[0-9a-f]{64})$/)?.[1];
}

/** The id in `sha256:…` or plain digits, where an image is named by it; as a digest. */
export function idIn(reference: string): string | undefined {
  const id = reference.match(/^(?:sha256:)?([0-9a-f]{64})$/)?.[1];
  return id === undefined ? undefined : `sha256:${id}`;
}

function hasTag(name: string): boolean {
  return name.lastIndexOf(":") > name.lastIndexOf("/");
}
