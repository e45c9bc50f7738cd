/** Bounds on what a person's files may ask of us. Each is far above any file made in good faith. */

/** Characters of one file. */
export const FILE_LENGTH_MAX = 1024 * 1024;
/** Nesting of collections in one file. */
export const DEPTH_MAX = 64;
/** Lexical tokens of one file. */
export const TOKENS_MAX = 400_000;
/** Nodes of all files together, each alias and merge key counted with all that it stands for. */
export const NODES_MAX = 400_000;
/** Characters that all interpolation together may produce. */
export const EXPANSION_LENGTH_MAX = 4 * 1024 * 1024;
/** Nesting of defaults within defaults: `${A:-${B:-${C}}}`. */
export const EXPANSION_DEPTH_MAX = 16;
/** Files read on behalf of one project. */
export const FILES_MAX = 256;
/** Links of one chain of `include` or `extends`. */
export const CHAIN_MAX = 32;
/** Problems of each severity that are told; the rest are counted. */
export const PROBLEMS_MAX = 200;
/** Errors of YAML itself that are told for one file; later ones mostly follow from the first. */
export const YAML_ERRORS_MAX = 10;
/** Characters of one value, one key, and items of one list of a service: what a stack can hold. */
export const VALUE_LENGTH_MAX = 32_768;
export const KEY_LENGTH_MAX = 4096;
export const ITEMS_MAX = 4096;
/** Mounts of one service, and devices of one. */
export const MOUNTS_MAX = 256;
/** Networks that one file names. */
export const NETWORKS_MAX = 1024;
/** Volumes of one stack. */
export const VOLUMES_MAX = 1024;
/** Characters of one key that are shown. */
export const SHOWN_LENGTH_MAX = 120;
