import { z } from "zod";

export const ATTACHMENTS_MAX = 64;
export const ALIASES_MAX = 64;

/** A Compose network as one service is attached to it. */
export const attachmentSchema = z.object({
  /** `shop_default`, or the bare name of an external one: two stacks that say the same share it. */
  network: z.string().max(255),
  /** Names by which the service is found there, beside its own. */
  aliases: z.array(z.string().max(253)).max(ALIASES_MAX),
  /** Whether tasks that are in such networks alone reach nothing outside the cluster. */
  internal: z.boolean(),
});
export type Attachment = z.infer<typeof attachmentSchema>;

/** The network of a stack's services that name none. */
export function defaultNetworkOf(stack: string): string {
  return `${stack}_default`;
}
