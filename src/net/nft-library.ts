/** Comes with the program `nft`, which is made of it. */
const FILE = "libnftables.so.1";

export interface NftLibrary {
  /** Runs a script, all of it or none; answers what is wrong with it, undefined when it is done. */
  refusalOf(script: string): string | undefined;
}

let loading: Promise<NftLibrary | undefined> | undefined;

/**
 * The machine's nftables within this process: a change of a few lines takes a quarter of a
 * millisecond, and by the program, which has to be started, thirteen. Undefined where the library
 * is not there or is made for another C library.
 */
export function nftLibrary(): Promise<NftLibrary | undefined> {
  loading ??= load().catch(() => undefined);
  return loading;
}

async function load(): Promise<NftLibrary> {
  const { dlopen } = await import("bun:ffi");
  const { symbols: nft } = dlopen(FILE, {
    nft_ctx_new: { args: ["u32"], returns: "ptr" },
    nft_ctx_free: { args: ["ptr"], returns: "void" },
    nft_ctx_buffer_output: { args: ["ptr"], returns: "i32" },
    nft_ctx_buffer_error: { args: ["ptr"], returns: "i32" },
    nft_ctx_get_error_buffer: { args: ["ptr"], returns: "cstring" },
    nft_run_cmd_from_buffer: { args: ["ptr", "ptr"], returns: "i32" },
  });
  return {
    refusalOf(script) {
      // What it knows of the rules goes with its context: others may change them until next time.
      const context = nft.nft_ctx_new(0);
      if (context === null) return "the kernel has no netlink socket for it";
      try {
        nft.nft_ctx_buffer_output(context);
        nft.nft_ctx_buffer_error(context);
        if (nft.nft_run_cmd_from_buffer(context, Buffer.from(`${script}\0`)) === 0) {
          return undefined;
        }
        return `${nft.nft_ctx_get_error_buffer(context)}`.split("\n", 1)[0] ?? "";
      } finally {
        nft.nft_ctx_free(context);
      }
    },
  };
}
