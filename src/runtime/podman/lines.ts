import { OrchdError } from "../../lib/errors.ts";

/**
 * A byte stream as lines, without their breaks; a last line without one counts. A stream that fails
 * or is cut off simply ends. Throws `runtime` for a line that is longer than `lengthMax`.
 */
export async function* linesOf(
  stream: AsyncIterable<Uint8Array>,
  lengthMax: number,
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for await (const chunk of stream) {
      rest += decoder.decode(chunk, { stream: true });
      let from = 0;
      for (let at = rest.indexOf("\n"); at >= 0; at = rest.indexOf("\n", from)) {
        yield rest.slice(from, at);
        from = at + 1;
      }
      rest = rest.slice(from);
      if (rest.length > lengthMax) {
        throw new OrchdError("runtime", "Podman sent a line far longer than any that makes sense");
      }
    }
  } catch (error) {
    // A broken connection is an end like any other: whoever reads starts afresh.
    if (error instanceof OrchdError) throw error;
  }
  if (rest !== "") yield rest;
}
