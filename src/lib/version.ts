/** A version as people write it: `1.4`, `v2.0.1`, `2024.10-rc.1+build5`. */
export interface Version {
  numbers: readonly number[];
  /** What stands after the first `-`; a version that has it comes before the one that has not. */
  preRelease: readonly string[];
}

/** Numbers parted by dots, and what Semantic Versioning 2.0.0 lets follow; else undefined. */
export function parseVersion(text: string): Version | undefined {
  const form = /^v?(\d{1,15}(?:\.\d{1,15}){0,7})(?:-([0-9a-z.-]+))?(?:\+[0-9a-z.-]+)?$/i;
  const [, numbers, preRelease] = form.exec(text.trim()) ?? [];
  if (numbers === undefined) return undefined;
  return {
    numbers: numbers.split(".").map(Number),
    preRelease: preRelease?.toLowerCase().split(".") ?? [],
  };
}

/**
 * Below 0 where `a` comes before `b`, above 0 where it comes after. Numbers that are missing are 0;
 * pre-releases are ordered as in Semantic Versioning 2.0.0, item 11.
 */
export function compareVersions(a: Version, b: Version): number {
  for (let i = 0; i < Math.max(a.numbers.length, b.numbers.length); i++) {
    const difference = (a.numbers[i] ?? 0) - (b.numbers[i] ?? 0);
    if (difference !== 0) return difference;
  }
  if (a.preRelease.length === 0 || b.preRelease.length === 0) {
    return b.preRelease.length - a.preRelease.length;
  }
  for (let i = 0; i < Math.max(a.preRelease.length, b.preRelease.length); i++) {
    const difference = compareParts(a.preRelease[i], b.preRelease[i]);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** One that is missing comes first, and numbers come before words. */
function compareParts(a: string | undefined, b: string | undefined): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? -1 : 1;
  const [left, right] = [numberOf(a), numberOf(b)];
  if (left !== undefined && right !== undefined) return left - right;
  if (left !== undefined || right !== undefined) return left === undefined ? 1 : -1;
  return a < b ? -1 : a > b ? 1 : 0;
}

function numberOf(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
