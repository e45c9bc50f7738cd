/** What is kept of a probe's output while it runs: its end says the most. */
export const OUTPUT_BYTES_MAX = 4096;
/** What is told of it: it travels, and stands in lists. */
const TOLD_MAX = 400;

// Terminals take these for orders (ECMA-48): sequences that begin with ESC, or with C1 controls.
const SEQUENCE = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]{0,1000}(?:\u0007|\u001b\\)?|.)/g;
const CONTROLS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}\uFFFD]+/gu;
/** `postgres://user:secret@host`. */
const USER_INFO = /(:\/\/)[^\s/@]{1,256}@/g;
const NAMES_A_SECRET = /pass|secret|token|key|credential|auth|private/i;
/** Shorter ones would blot out half of all words. */
const SECRET_LENGTH_MIN = 4;
const HIDDEN = "***";

/**
 * A program's output as one line for people: the end of it, free of what terminals take for orders,
 * of the task's secrets, and of the values of variables whose names say that they are secret.
 * @param environment of the container that it comes from
 * @param secrets what the secrets that the container reads hold
 */
export function cleanOutput(
  output: string,
  environment: Readonly<Record<string, string>> = {},
  secrets: readonly string[] = [],
): string {
  const plain = output.replace(SEQUENCE, " ").replace(CONTROLS, " ");
  const hidden = spellingsOf([...secretsIn(environment), ...secrets])
    .reduce((text, secret) => text.replaceAll(secret, HIDDEN), plain)
    .replace(USER_INFO, `$1${HIDDEN}@`);
  const line = hidden.replace(/\s+/g, " ").trim();
  return line.length <= TOLD_MAX ? line : `…${endOf(line)}`;
}

function secretsIn(environment: Readonly<Record<string, string>>): string[] {
  return Object.entries(environment).flatMap(([name, value]) =>
    NAMES_A_SECRET.test(name) ? [value] : [],
  );
}

/** As they stand in what was cleaned, the longest first: one may be a part of another. */
function spellingsOf(secrets: readonly string[]): string[] {
  return secrets
    .flatMap((text) => {
      const secret = text.replace(/\n$/, "");
      return secret.length < SECRET_LENGTH_MIN ? [] : [secret, secret.replace(CONTROLS, " ")];
    })
    .sort((a, b) => b.length - a.length);
}

/** Never half of a character that takes two places. */
function endOf(line: string): string {
  const end = line.slice(-TOLD_MAX + 1);
  const first = end.charCodeAt(0);
  return first >= 0xdc00 && first <= 0xdfff ? end.slice(1) : end;
}
