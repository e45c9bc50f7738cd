const SOL_SOCKET = 1;
/** Beyond the system's limit for everybody, which root may do (socket(7)). */
const SO_RCVBUFFORCE = 33;

/**
 * Makes room for datagrams that come while this process has no processor, or does something else.
 * Where that can't be done the socket works as it is: more of them are lost then.
 */
export async function growReceiveBuffer(
  socket: Bun.udp.Socket<"buffer">,
  bytes: number,
): Promise<void> {
  // Bun has it, and its type definitions don't know of it yet.
  if (!("fd" in socket) || typeof socket.fd !== "number") return;
  try {
    const { dlopen } = await import("bun:ffi");
    const { symbols: libc } = dlopen("libc.so.6", {
      setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
    });
    libc.setsockopt(socket.fd, SOL_SOCKET, SO_RCVBUFFORCE, Int32Array.of(bytes), 4);
  } catch {
    // A C library of another name.
  }
}
