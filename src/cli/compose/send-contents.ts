import type { ApiClient } from "../../api/client.ts";
import { itemKeyOf } from "../../model/item.ts";
import type { StackSpec } from "../../model/stack.ts";
import type { Project } from "./load-project.ts";

/**
 * Sends what the stack's own secrets and configs hold to the server, apart from the stack; answers
 * the stack with where each of them was sent to.
 */
export async function sendContents(
  client: ApiClient,
  spec: StackSpec,
  contents: Project["contents"],
): Promise<StackSpec> {
  if (spec.items === undefined) return spec;
  const uploads = new Map<string, string>();
  for (const { kind, name, bytes } of contents) {
    uploads.set(itemKeyOf(kind, name), await client.upload(bytes));
  }
  const items = spec.items.map((item) => {
    const upload = uploads.get(itemKeyOf(item.kind, item.name));
    return upload === undefined ? item : { ...item, upload };
  });
  return { ...spec, items };
}
