/** What a text says, or one sentence for people that says what is wrong with it. */
export type Parsed<Value> = { ok: true; value: Value } | { ok: false; problem: string };
