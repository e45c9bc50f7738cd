/**
 * The slot of one run of a scheduled job: `1@7`. Each run has slots of its own, so that tasks of
 * two runs never meet in one, whatever the rule for overlap.
 */
export function slotOfRun(base: string, run: number): string {
  return `${base}@${run}`;
}

/** What the slot is within its run: a number, or the id of a node. */
export function baseOfSlot(slot: string): string {
  const mark = slot.indexOf("@");
  return mark < 0 ? slot : slot.slice(0, mark);
}

/** The run of a scheduled job to which the slot belongs; undefined for any other service. */
export function runOfSlot(slot: string): number | undefined {
  const mark = slot.indexOf("@");
  return mark < 0 ? undefined : Number(slot.slice(mark + 1));
}
