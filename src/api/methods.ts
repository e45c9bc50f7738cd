/** The methods that a path takes, by the routes of the app; `:b` in one stands for any segment. */
export function allowedMethods(
  routes: readonly { method: string; path: string }[],
  path: string,
): string[] {
  const segments = path.split("/");
  const matching = routes.filter(
    (route) => route.method !== "ALL" && matches(route.path.split("/"), segments),
  );
  return [...new Set(matching.map((route) => route.method))].sort();
}

function matches(pattern: readonly string[], segments: readonly string[]): boolean {
  if (pattern.length !== segments.length) return false;
  return pattern.every((part, i) =>
    part.startsWith(":") ? segments[i] !== "" : part === segments[i],
  );
}
