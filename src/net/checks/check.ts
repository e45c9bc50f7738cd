import type { CheckResult } from "../../core/probe/probe-state.ts";
import type { Check } from "../../model/probe.ts";
import { exchange } from "./exchange.ts";
import { checkGrpc } from "./grpc-check.ts";
import { checkHttp } from "./http-check.ts";

export type SocketCheck = Exclude<Check, { type: "exec" }>;

/**
 * Asks a task at its address, without a process. It never rejects, and resolves soon after `signal`
 * gives up.
 */
export async function checkAt(
  address: string,
  check: SocketCheck,
  signal: AbortSignal,
): Promise<CheckResult> {
  switch (check.type) {
    case "http":
      return checkHttp(address, check, signal);
    case "grpc":
      return checkGrpc(address, check, signal);
    case "tcp": {
      const { port } = check;
      const end = await exchange({ address, port, signal });
      if (end === "done") return { ok: true, output: `port ${port} takes connections` };
      const trouble = typeof end === "object" ? end.trouble : "closed the connection";
      return { ok: false, output: `port ${port} ${trouble}` };
    }
  }
}
