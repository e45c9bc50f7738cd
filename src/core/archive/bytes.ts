/**
 * Names in an archive are bytes, and no encoding is promised of them: here they are byte strings,
 * whose characters are the bytes.
 */

export function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

export function byteStringOf(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) {
    text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  }
  return text;
}

/** A byte string as people read it: UTF-8, with a mark where it is none, and never too long. */
export function shownName(text: string): string {
  const shown = new TextDecoder().decode(bytesOf(text.slice(0, 200)));
  return JSON.stringify(text.length > 200 ? `${shown}…` : shown);
}

/** Several pieces as one. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
