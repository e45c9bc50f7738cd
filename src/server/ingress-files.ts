import { OrchdError } from "../lib/errors.ts";
import type { Change } from "../model/change.ts";
import type { IngressFile } from "../model/ingress-rule.ts";
import { contentIdOf, formatItem, type Content, type ContentRef } from "../model/item.ts";
import { formatServiceName } from "../model/names.ts";
import { specOf } from "../model/service.ts";
import type { View } from "../model/view.ts";
import { checkCredentials } from "../pki/credentials.ts";

/** Opens a content; undefined while nobody can. */
type OpenContent = (content: Content) => Uint8Array | undefined;

/**
 * Refuses a certificate that people gave for a host and that would not do: one that does not fit
 * its key, is for other names, or ran out. Whoever can't be told now, since secrets are locked, is
 * told by the nodes.
 * @param now milliseconds since 1970
 * @throws OrchdError `invalid` with what is wrong, in one sentence
 */
export function refuseMisfits(
  view: View,
  changes: readonly Change[],
  open: OpenContent,
  now: number,
): void {
  const written = new Map<string, Content>();
  for (const change of changes) {
    if (change.kind === "content" && change.op === "put") {
      written.set(change.value.id, change.value);
    }
  }
  const read = ({ content }: IngressFile): string | undefined => {
    const id = content === undefined ? "" : contentIdOf(content);
    const found = written.get(id) ?? view.contents.get(id);
    const bytes = found && open(found);
    return bytes && new TextDecoder().decode(bytes);
  };
  for (const change of changes) {
    if (change.kind !== "service" || change.op !== "put") continue;
    for (const { host, files } of specOf(change.value).ingress ?? []) {
      if (files === undefined) continue;
      const [certificate, key] = [read(files.certificate), read(files.key)];
      if (certificate === undefined || key === undefined) continue;
      const checked = checkCredentials({ key, certificate, host, now });
      if (!("problem" in checked)) continue;
      const { stack, name } = change.value;
      const which = `${formatItem(files.certificate)} and ${formatItem(files.key)}`;
      const message = `${checked.problem} (${which} of service ${formatServiceName(stack, name)})`;
      throw new OrchdError("invalid", message);
    }
  }
}

/** The text of a given certificate and its key; undefined where one is gone or locked away. */
export function givenCredentials(
  files: { certificate: IngressFile; key: IngressFile },
  contentOf: (ref: ContentRef) => Uint8Array | undefined,
): { certificate: string; key: string } | undefined {
  const read = ({ content }: IngressFile) => {
    const bytes = content && contentOf(content);
    return bytes && new TextDecoder().decode(bytes);
  };
  const [certificate, key] = [read(files.certificate), read(files.key)];
  return certificate === undefined || key === undefined ? undefined : { certificate, key };
}
