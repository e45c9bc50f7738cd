/** By which numbers members find out who is there; all of a cluster have the same ones. */
export const GOSSIP_PRESETS = ["orchd", "lan", "wan", "local"] as const;
export type GossipPreset = (typeof GOSSIP_PRESETS)[number];
