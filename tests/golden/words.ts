/** `name key=value key=value` as its name and its values. */
export interface Words {
  name: string;
  values: ReadonlyMap<string, string>;
}

export function parseWords(text: string): Words {
  const [name = "", ...rest] = text.trim().split(/\s+/);
  const values = rest.map((word): [string, string] => {
    const equals = word.indexOf("=");
    if (equals < 0) throw new Error(`"${word}" in "${text}" is not key=value`);
    return [word.slice(0, equals), word.slice(equals + 1)];
  });
  return { name, values: new Map(values) };
}

/** The number under `key`, or `otherwise` where there is none. */
export function numberOf(words: Words, key: string, otherwise: number): number {
  const text = words.values.get(key);
  if (text === undefined) return otherwise;
  if (!/^-?\d+$/.test(text)) throw new Error(`${key}=${text} is not a number`);
  return Number(text);
}

/** The word under `key`, which is one of `allowed`; the first of them where there is none. */
export function wordOf<T extends string>(words: Words, key: string, allowed: readonly T[]): T {
  const text = words.values.get(key) ?? allowed[0];
  const found = allowed.find((word) => word === text);
  if (found === undefined) throw new Error(`${key}=${text} is none of ${allowed.join(", ")}`);
  return found;
}

export const HEALTHS = ["none", "starting", "healthy", "unhealthy"] as const;
