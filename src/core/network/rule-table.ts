/** A named set of a table, or a map when its type has two sides: `ipv4_addr : verdict`. */
export interface NamedSet {
  type: string;
  /** Each once; of a map `10.210.240.1 : goto somewhere`. */
  elements: ReadonlySet<string>;
}

export interface Chain {
  /** Where packets enter it; absent for one that other chains lead to. */
  hook?: string;
  rules: readonly string[];
}

/** One table of nftables as a value: what is wanted, or what the kernel is known to hold. */
export interface RuleTable {
  /** Family and name: `ip orchd`. */
  name: string;
  counters: ReadonlySet<string>;
  sets: ReadonlyMap<string, NamedSet>;
  chains: ReadonlyMap<string, Chain>;
}

/**
 * A script for `nft -f -` that puts the table in place of whatever there is under its name. It is
 * one transaction: no packet sees half of it.
 */
export function formatWhole(table: RuleTable): string {
  const { name } = table;
  const empty = { name, counters: new Set<string>(), sets: new Map(), chains: new Map() };
  return lines([`table ${name} {}`, ...removal(name), `table ${name} {}`]) + change(empty, table);
}

/** A script that takes the table away, also where there is none. */
export function formatRemoval(name: string): string {
  return lines([`table ${name} {}`, ...removal(name)]);
}

/**
 * A script that makes the kernel's table equal to another one by touching what differs alone, again
 * in one transaction. Empty when nothing does.
 */
export function formatChange(from: RuleTable, to: RuleTable): string {
  // A hook or a type stays for the life of what has it.
  return isOfSameShape(from, to) ? change(from, to) : formatWhole(to);
}

function removal(name: string): string[] {
  return [`delete table ${name}`];
}

function isOfSameShape(from: RuleTable, to: RuleTable): boolean {
  for (const [name, { type }] of from.sets) {
    if ((to.sets.get(name)?.type ?? type) !== type) return false;
  }
  for (const [name, { hook }] of from.chains) {
    const wanted = to.chains.get(name);
    if (wanted !== undefined && wanted.hook !== hook) return false;
  }
  return true;
}

/**
 * What is referred to is made first and goes last. An element that has another value now goes
 * before it comes again.
 */
function change(from: RuleTable, to: RuleTable): string {
  const { name } = to;
  const made: string[] = [];
  const emptied: string[] = [];
  const filled: string[] = [];
  const gone: string[] = [];
  for (const counter of to.counters) {
    if (!from.counters.has(counter)) made.push(`add counter ${name} ${counter}`);
  }
  for (const [key, set] of to.sets) {
    const had = from.sets.get(key);
    if (had === undefined) made.push(declarationOf(name, key, set));
    emptied.push(...elements("delete", `${name} ${key}`, had?.elements, set.elements));
    filled.push(...elements("add", `${name} ${key}`, set.elements, had?.elements));
  }
  for (const [key, { hook, rules }] of to.chains) {
    const had = from.chains.get(key);
    if (had === undefined) {
      made.push(`add chain ${name} ${key}${hook === undefined ? "" : ` { ${hook} }`}`);
    } else if (equalRules(had.rules, rules)) continue;
    else emptied.push(`flush chain ${name} ${key}`);
    filled.push(...rules.map((rule) => `add rule ${name} ${key} ${rule}`));
  }
  for (const key of from.chains.keys()) {
    if (to.chains.has(key)) continue;
    emptied.push(`flush chain ${name} ${key}`);
    gone.push(`delete chain ${name} ${key}`);
  }
  for (const [key, { type }] of from.sets) {
    if (to.sets.has(key)) continue;
    gone.push(`delete ${isMap(type) ? "map" : "set"} ${name} ${key}`);
  }
  for (const counter of from.counters) {
    if (!to.counters.has(counter)) gone.push(`delete counter ${name} ${counter}`);
  }
  return lines([...made, ...emptied, ...filled, ...gone]);
}

function declarationOf(table: string, key: string, { type }: NamedSet): string {
  return `add ${isMap(type) ? "map" : "set"} ${table} ${key} { type ${type}; }`;
}

function isMap(type: string): boolean {
  return type.includes(" : ");
}

/** The command for what the first has and the second has not. */
function elements(
  verb: "add" | "delete",
  where: string,
  of: ReadonlySet<string> | undefined,
  but: ReadonlySet<string> | undefined,
): string[] {
  const rest = [...(of ?? [])].filter((element) => but?.has(element) !== true);
  return rest.length === 0 ? [] : [`${verb} element ${where} { ${rest.join(", ")} }`];
}

function equalRules(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((rule, i) => rule === b[i]);
}

function lines(texts: readonly string[]): string {
  return texts.map((text) => `${text}\n`).join("");
}
