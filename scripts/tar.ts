/** One member of a tar archive. */
export type TarEntry =
  | { name: string; type: "file"; mode: number; content: Uint8Array }
  | { name: string; type: "link"; target: string }
  | { name: string; type: "folder"; mode: number };

const BLOCK = 512;
const TYPE_FLAGS = { file: "0", link: "2", folder: "5" } as const;

/** Writes a tar archive (POSIX ustar), the same for the same entries: no times, no owners. */
export function writeTar(entries: readonly TarEntry[]): Uint8Array {
  const parts = entries.flatMap((entry) => {
    const content = entry.type === "file" ? entry.content : new Uint8Array();
    return [header(entry, content.length), content, new Uint8Array(padding(content.length))];
  });
  return Buffer.concat([...parts, new Uint8Array(2 * BLOCK)]);
}

function padding(length: number): number {
  return (BLOCK - (length % BLOCK)) % BLOCK;
}

function header(entry: TarEntry, size: number): Uint8Array {
  const block = Buffer.alloc(BLOCK);
  if (Buffer.byteLength(entry.name) > 100) throw new Error(`${entry.name} is too long for tar`);
  block.write(entry.name, 0);
  writeOctal(block, "mode" in entry ? entry.mode : 0o777, 100, 8);
  writeOctal(block, 0, 108, 8);
  writeOctal(block, 0, 116, 8);
  writeOctal(block, size, 124, 12);
  writeOctal(block, 0, 136, 12);
  block.fill(" ", 148, 156);
  block.write(TYPE_FLAGS[entry.type], 156);
  if (entry.type === "link") block.write(entry.target, 157, 100);
  block.write("ustar\u000000", 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

/** A number in octal digits, ended by NUL. */
function writeOctal(block: Buffer, value: number, at: number, length: number): void {
  block.write(`${value.toString(8).padStart(length - 1, "0")}\0`, at);
}
