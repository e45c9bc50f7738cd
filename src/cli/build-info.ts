/** What this executable was made from. */
export interface BuildInfo {
  version: string;
  /** The commit, or `unknown` when it runs from the sources. */
  commit: string;
}

/** What `orchd version` prints. Loaded at every start: it must stay this small. */
export function formatVersion(build: BuildInfo, json: boolean): string {
  if (json) return `${JSON.stringify({ ...build, api: "v1" })}\n`;
  return `orchd ${build.version} (commit ${build.commit})\n`;
}
