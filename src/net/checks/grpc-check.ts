import type { IncomingHttpHeaders } from "node:http";
import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import { messageOf } from "../../lib/errors.ts";
import type { CheckResult } from "../../core/probe/probe-state.ts";
import type { Check } from "../../model/probe.ts";

const PATH = "/grpc.health.v1.Health/Check";
/** The answer is one number; no message of it is longer. */
const ANSWER_BYTES_MAX = 1024;
const PREFIX_BYTES = 5;
/** `HealthCheckResponse.ServingStatus` (grpc/health/v1/health.proto). */
const SERVING_STATUS = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const SERVING = 1;
/** Field 1 of a message as a number, and as bytes (Protocol Buffers encoding). */
const FIELD_1_VARINT = 0x08;
const FIELD_1_BYTES = 0x0a;
const UNIMPLEMENTED = "12";
const NOT_FOUND = "5";

type GrpcCheck = Extract<Check, { type: "grpc" }>;

/** Asks a program for its health by the standard service of gRPC, over HTTP/2 without TLS. */
export async function checkGrpc(
  address: string,
  check: GrpcCheck,
  signal: AbortSignal,
): Promise<CheckResult> {
  // Loaded where somebody asks in this way: few do, and it is large.
  const { connect } = await import("node:http2");
  return new Promise((resolve) => {
    const session = connect(`http://${address}:${check.port}`, {
      settings: { enablePush: false, initialWindowSize: 65_535 },
      maxSessionMemory: 1,
    });
    let isOver = false;
    const finish = (result: CheckResult) => {
      if (isOver) return;
      isOver = true;
      signal.removeEventListener("abort", onAbort);
      session.destroy();
      resolve(result);
    };
    const fail = (why: string) => finish({ ok: false, output: `port ${check.port} ${why}` });
    const onAbort = () => fail("gave no answer");
    session.on("error", (error) => fail(`can't be asked: ${messageOf(error)}`));
    session.on("close", () => fail("closed the connection unanswered"));
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort);
    ask(session, check.service, finish, fail);
  });
}

function ask(
  session: ClientHttp2Session,
  service: string,
  finish: (result: CheckResult) => void,
  fail: (why: string) => void,
): void {
  const call: ClientHttp2Stream = session.request({
    ":method": "POST",
    ":path": PATH,
    "content-type": "application/grpc",
    te: "trailers",
    "user-agent": "orchd-probe",
  });
  let bytes = Buffer.alloc(0);
  let status: string | undefined;
  let reason = "";
  const readStatus = (headers: IncomingHttpHeaders) => {
    const [code, message] = [headers["grpc-status"], headers["grpc-message"]];
    if (typeof code === "string") status = code;
    if (typeof message === "string") reason = message;
  };
  call.on("response", (headers) => {
    readStatus(headers);
    const code = Number(headers[":status"]);
    if (code !== 200) fail(`does not answer in gRPC: HTTP ${code}`);
  });
  call.on("trailers", readStatus);
  call.on("data", (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.length > ANSWER_BYTES_MAX) fail("answers with more than a health check has to say");
  });
  call.on("error", (error) => fail(`can't be asked: ${messageOf(error)}`));
  call.on("close", () => finish(resultOf(bytes, status, reason)));
  call.end(requestOf(service));
}

function resultOf(bytes: Buffer, status: string | undefined, reason: string): CheckResult {
  if (status === UNIMPLEMENTED) return { ok: false, output: "gRPC: it has no health service" };
  if (status === NOT_FOUND) return { ok: false, output: "gRPC: SERVICE_UNKNOWN" };
  if (status !== "0") {
    const code = status === undefined ? "no status" : `status ${status}`;
    return { ok: false, output: reason === "" ? `gRPC: ${code}` : `gRPC: ${code}: ${reason}` };
  }
  const value = servingStatusOf(bytes);
  if (value === undefined) return { ok: false, output: "gRPC: its answer makes no sense" };
  return { ok: value === SERVING, output: `gRPC: ${SERVING_STATUS[value] ?? `status ${value}`}` };
}

/** `HealthCheckRequest { string service = 1; }`, as gRPC frames it (PROTOCOL-HTTP2.md). */
export function requestOf(service: string): Buffer {
  const name = Buffer.from(service, "utf8");
  const message =
    name.length === 0
      ? Buffer.alloc(0)
      : Buffer.concat([Buffer.from([FIELD_1_BYTES, ...varintOf(name.length)]), name]);
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** `HealthCheckResponse { ServingStatus status = 1; }`; a field that is left out is 0. */
function servingStatusOf(frame: Buffer): number | undefined {
  if (frame.length < PREFIX_BYTES || frame[0] !== 0) return undefined;
  const message = frame.subarray(PREFIX_BYTES);
  if (message.length !== frame.readUInt32BE(1)) return undefined;
  if (message.length === 0) return 0;
  const [tag, value, ...rest] = message;
  if (tag !== FIELD_1_VARINT || value === undefined || value > 127) return undefined;
  return rest.length === 0 ? value : undefined;
}

function varintOf(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return [...bytes, rest];
}
