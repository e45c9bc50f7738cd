/** How local time and universal time differ somewhere. */
export interface TimeZone {
  readonly name: string;
  /** Milliseconds by which local time is ahead, at `ms` since 1970. */
  offsetAt(ms: number): number;
}

const OFFSETS_KEPT = 1000;
const ZONES = new Map<string, TimeZone>();

/** The time zone of a name of the IANA database (`Europe/Berlin`); undefined where none has it. */
export function timeZoneOf(name: string): TimeZone | undefined {
  const known = ZONES.get(name);
  if (known !== undefined) return known;
  const format = formatOf(name);
  if (format === undefined) return undefined;
  const zone = { name, offsetAt: remembering((ms) => offsetBy(format, ms)) };
  ZONES.set(name, zone);
  return zone;
}

/** Whoever looks for times asks for the same days again and again, and formatting is slow. */
function remembering(offsetAt: (ms: number) => number): (ms: number) => number {
  const known = new Map<number, number>();
  return (ms) => {
    const offset = known.get(ms) ?? offsetAt(ms);
    if (known.size > OFFSETS_KEPT) known.clear();
    known.set(ms, offset);
    return offset;
  };
}

function formatOf(timeZone: string): Intl.DateTimeFormat | undefined {
  try {
    return new Intl.DateTimeFormat("en-US", {
      timeZone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
  } catch {
    return undefined;
  }
}

function offsetBy(format: Intl.DateTimeFormat, ms: number): number {
  const parts = new Map(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
  const part = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? 0;
  const local = Date.UTC(
    part("year"),
    part("month") - 1,
    part("day"),
    part("hour"),
    part("minute"),
    part("second"),
  );
  return local - Math.floor(ms / 1000) * 1000;
}
