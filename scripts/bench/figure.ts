/** One measured figure, next to what it should reach. */
export interface Figure {
  /** What was measured, under which conditions. */
  what: string;
  value: number;
  unit: string;
  /** What it was measured against in the same run: a ratio is a claim, a time alone is not. */
  reference?: string;
  /** The value that it should not exceed (or, with `atLeast`, not fall below). */
  limit?: number;
  atLeast?: boolean;
  /** All values behind it. */
  samples: number[];
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[middle - 1] ?? Number.NaN, sorted[middle] ?? Number.NaN];
  return sorted.length % 2 === 1 ? high : (low + high) / 2;
}

/** A figure that was measured once. */
export function one(what: string, value: number, unit: string, limit?: number): Figure {
  return { what, value, unit, samples: [value], ...(limit === undefined ? {} : { limit }) };
}

/** Whether the figure reaches what it should; nothing where no limit was set. */
export function reaches({ value, limit, atLeast }: Figure): boolean | undefined {
  if (limit === undefined) return undefined;
  return atLeast === true ? value >= limit : value <= limit;
}

/** A table for people, one figure a line. */
export function formatFigures(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => {
    const reached = reaches(figure);
    const sign = figure.atLeast === true ? ">=" : "<=";
    return [
      figure.what,
      `${round(figure.value)} ${figure.unit}`,
      figure.limit === undefined ? "" : `${sign} ${figure.limit} ${figure.unit}`,
      reached === undefined ? "" : reached ? "reached" : "NOT REACHED",
      figure.reference ?? "",
    ];
  });
  return formatTable([["what", "value", "should be", "", "against"], ...rows]);
}

/** Rows of cells in columns as wide as what is in them. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, at) =>
    Math.max(...rows.map((row) => row[at]?.length ?? 0)),
  );
  return rows
    .map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  "))
    .map((line) => line.trimEnd())
    .join("\n");
}

export function round(value: number): number {
  return Number(value.toPrecision(3));
}
