import { z } from "zod";

/** How nodes get images from one another: what a server and they say to each other of it. */

/** TCP: where a node gives other nodes what it has of images, over mutual TLS. */
export const PEER_PORT = 6776;
/** A smaller blob costs less than asking where else it is. */
export const PEER_BLOB_BYTES_MIN = 256 * 1024;

/** Header of a node that takes a blob from other nodes as well: the port where it gives its own. */
export const PEER_HEADER = "x-orchd-peer-port";
/** Header of a node that found none of them able to. */
export const INSIST_HEADER = "x-orchd-insist";

/** The answer of a server with status 303: who has the blob, or is getting it, the best first. */
export const elsewhereSchema = z.object({ peers: z.array(z.string().max(300)).max(16) });
