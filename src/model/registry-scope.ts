import { z } from "zod";

export const registryActionSchema = z.enum(["pull", "push", "delete"]);
export type RegistryAction = z.infer<typeof registryActionSchema>;

/** What a token lets people do with which images. */
export const registryScopeSchema = z.object({
  /** `docker.io/team/web`; all below a name: `docker.io/team/*`; all there are: `*`. */
  repository: z
    .string()
    .max(300)
    .regex(/^(\*|[^*\s]+(\/\*)?)$/, "names a repository, or ends with /*"),
  actions: z.array(registryActionSchema).min(1).max(3),
});
export type RegistryScope = z.infer<typeof registryScopeSchema>;

/** Whether one of the scopes lets somebody do this with a repository: `docker.io/team/web`. */
export function isInScope(
  scopes: readonly RegistryScope[],
  action: RegistryAction,
  repository: string,
): boolean {
  return scopes.some(
    ({ repository: pattern, actions }) => actions.includes(action) && isMeant(pattern, repository),
  );
}

/** `repository:docker.io/team/*:pull,push` */
export function formatRegistryScope({ repository, actions }: RegistryScope): string {
  return `repository:${repository}:${actions.join(",")}`;
}

function isMeant(pattern: string, repository: string): boolean {
  if (pattern === "*") return true;
  return pattern.endsWith("/*")
    ? repository.startsWith(pattern.slice(0, -1))
    : pattern === repository;
}
