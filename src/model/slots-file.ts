/** In a data directory: what `slotsSchema` describes. Alone here, since every start asks for it. */
export const SLOTS_FILE = "bin/slots.json";
