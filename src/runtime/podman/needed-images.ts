import { qualifiedNameOf } from "./images.ts";

/** An image as a runtime knows it. */
export interface KnownImage {
  id: string;
  /** `docker.io/library/nginx:1` */
  references: readonly string[];
  /** `docker.io/library/nginx@sha256:…` */
  digests: readonly string[];
}

/** Whether one of these names means the image, as people write names of images. */
export function isNeeded(image: KnownImage, names: readonly string[]): boolean {
  const known = new Set([...image.references, ...image.digests, image.id, `sha256:${image.id}`]);
  return names.some((name) => spellingsOf(name).some((spelling) => known.has(spelling)));
}

/** In the same order otherwise. Names go on to newer images, and leave the older ones without. */
export function unnamedFirst(images: readonly KnownImage[]): KnownImage[] {
  const rankOf = ({ references }: KnownImage) => (references.length === 0 ? 0 : 1);
  return images.toSorted((a, b) => rankOf(a) - rankOf(b));
}

/** A name, the whole of it, with its tag where it has none, and without its tag before a digest. */
function spellingsOf(name: string): string[] {
  const whole = qualifiedNameOf(name);
  const digest = whole.indexOf("@");
  if (digest >= 0) {
    const bare = whole.slice(0, digest).replace(/:[^:/]*$/, "");
    return [name, whole, `${bare}${whole.slice(digest)}`];
  }
  const hasTag = /:[^:/]+$/.test(whole);
  return hasTag ? [name, whole] : [name, whole, `${whole}:latest`];
}
