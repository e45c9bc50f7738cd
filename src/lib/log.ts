/** Where a role says what it does. Lines are for people who run orchd, never for programs. */
export interface Log {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/**
 * One line each: time, level, message. Control characters are escaped, so that no name or message
 * from outside can forge a line.
 * @param nowText the present time as text, such as ISO 8601
 */
export function lineLog(write: (line: string) => void, nowText: () => string): Log {
  const line = (level: string) => (message: string) =>
    write(`${nowText()} ${level} ${escapeControl(message)}\n`);
  return { info: line("info "), warn: line("warn "), error: line("error") };
}

/** The text with control characters made visible, such as `\\x1b`. */
export function escapeControl(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => {
    const code = character.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16)}`;
  });
}

export const silentLog: Log = { info: () => {}, warn: () => {}, error: () => {} };
