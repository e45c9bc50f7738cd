import { cleanText } from "./clean.ts";
import { plain, type Color, type Paint } from "./color.ts";

/** A column: its title, what stands in it, and how it is coloured. */
export interface Column<Row> {
  title: string;
  cell(row: Row): string;
  color?(row: Row): Color | undefined;
}

const GAP = "  ";

/**
 * Aligned lines, the titles first; cells are cleaned. The last column is not padded, so that long
 * reasons don't widen every line.
 */
export function formatTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  paint: Paint = plain,
): string[] {
  const cells = rows.map((row) => columns.map((column) => cleanText(column.cell(row))));
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...cells.map((line) => Bun.stringWidth(line[index] ?? ""))),
  );
  const titles = columns.map(({ title }) => title);
  const head = paint("bold", joinCells(titles, widths));
  const body = rows.map((row, at) => {
    const line = cells[at] ?? [];
    return joinCells(line, widths, (text, index) => {
      const color = columns[index]?.color?.(row);
      return color === undefined ? text : paint(color, text);
    });
  });
  return [head, ...body];
}

function joinCells(
  cells: readonly string[],
  widths: readonly number[],
  dress: (text: string, index: number) => string = (text) => text,
): string {
  const padded = cells.map((cell, index) => {
    const padding = " ".repeat(Math.max(0, (widths[index] ?? 0) - Bun.stringWidth(cell)));
    return dress(cell, index) + (index === cells.length - 1 ? "" : padding);
  });
  return padded.join(GAP).trimEnd();
}
