import { z } from "zod";

/** Who somebody is to a registry elsewhere. It is used, and kept nowhere. */
export const registryLoginSchema = z.object({
  username: z.string().min(1).max(256),
  password: z.string().min(1).max(8192),
});
export type RegistryLogin = z.infer<typeof registryLoginSchema>;
