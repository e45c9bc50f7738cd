import { ORCHD_REPOSITORY, readMark } from "../../images/executables.ts";
import type { SiteImages } from "../site-images.ts";
import type { ExecutableSource } from "./self-upgrade.ts";

/** Executables of orchd among the site's images: nodes get them from each other, as layers. */
export function siteExecutables(site: SiteImages): ExecutableSource {
  return {
    bring: (digest) => site.bringBlob(ORCHD_REPOSITORY, digest),
    mark: (digest) => readMark(site.store, digest),
    read: (digest) => site.store.blobs.read(digest),
  };
}
