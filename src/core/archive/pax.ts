import { byteStringOf, bytesOf } from "./bytes.ts";

/** Records of a pax header, `LENGTH KEY=VALUE\n`; byte strings all of them. */
export type PaxRecords = ReadonlyMap<string, string>;

/** More than a name, a link and all attributes of any file together. */
export const PAX_BYTES_MAX = 1024 * 1024;
const KEY_BYTES_MAX = 512;

export function encodePax(records: PaxRecords): Uint8Array {
  return bytesOf([...records].map(([key, value]) => recordOf(key, value)).join(""));
}

/** The length that stands in front counts its own digits too. */
function recordOf(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length;
  while (String(length).length + rest.length !== length) {
    length = String(length).length + rest.length;
  }
  return `${length}${rest}`;
}

/** Undefined for what makes no sense. */
export function decodePax(bytes: Uint8Array): PaxRecords | undefined {
  const text = byteStringOf(bytes);
  const records = new Map<string, string>();
  let at = 0;
  while (at < text.length) {
    const [head = "", digits = ""] = /^(\d{1,7}) /.exec(text.slice(at, at + 8)) ?? [];
    const end = at + Number(digits);
    if (digits === "" || end > text.length || text[end - 1] !== "\n") return undefined;
    const record = text.slice(at + head.length, end - 1);
    const equals = record.indexOf("=");
    if (equals < 1 || equals > KEY_BYTES_MAX) return undefined;
    records.set(record.slice(0, equals), record.slice(equals + 1));
    at = end;
  }
  return records;
}
