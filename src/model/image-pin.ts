import type { ImagePin } from "./container.ts";
import type { Node } from "./node.ts";
import { specAt, type Service } from "./service.ts";

/** The platform whose image a task of the revision runs on a node. */
export function platformOf(service: Service, revision: number, { platform }: Node): string {
  return specAt(service, revision).container.platform ?? `${platform.os}/${platform.arch}`;
}

/** The image under the name by which its registry gives that very one. */
export function pinnedNameOf(image: string, { digest }: ImagePin): string {
  const [name = ""] = image.split("@");
  const colon = name.lastIndexOf(":");
  return `${colon > name.lastIndexOf("/") ? name.slice(0, colon) : name}@${digest}`;
}

/** What the revision's image is pinned to on a node; undefined before its first task was ready. */
export function pinOf(service: Service, revision: number, node: Node): ImagePin | undefined {
  const kept = service.revisions.find((one) => one.revision === revision);
  return kept?.pins?.[platformOf(service, revision, node)];
}

/**
 * The service with its revision pinned to what a node found, and newer ones of its template too;
 * the very same object where that is known already. A pin never changes.
 */
export function withPin(service: Service, revision: number, node: Node, pin: ImagePin): Service {
  const known = service.revisions.some((one) => one.revision === revision);
  if (!known || pinOf(service, revision, node) !== undefined) return service;
  const platform = platformOf(service, revision, node);
  const isOfNow = revision >= service.templateRevision;
  const isAlike = (other: number) => other === revision || (isOfNow && other > revision);
  const revisions = service.revisions.map((one) =>
    isAlike(one.revision) && one.pins?.[platform] === undefined
      ? { ...one, pins: { ...one.pins, [platform]: pin } }
      : one,
  );
  return { ...service, revisions };
}
