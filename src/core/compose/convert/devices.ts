import type { DeviceRequest } from "../../../model/device.ts";
import { withoutUndefined, type Cursor } from "./cursor.ts";

const REQUESTS_MAX = 16;
const IDS_MAX = 64;
const AMOUNT_MAX = 1_000_000;
const KIND = /^[a-zA-Z0-9](?:[a-zA-Z0-9._-]{0,62}[a-zA-Z0-9])?$/;

/** `generic_resources`: so much of what nodes were given under a name. */
export function genericOf(reserved: Cursor | undefined): Record<string, number> | undefined {
  const amounts = new Map<string, number>();
  for (const item of reserved?.get("generic_resources")?.items() ?? []) {
    const given = item.get("discrete_resource_spec");
    if (given === undefined) {
      if (item.isMap && item.keys().length === 0) item.error("needs discrete_resource_spec");
      continue;
    }
    const kind = given.get("kind")?.parsed(parseKind, "must be a name, such as lora");
    const value = given.get("value")?.integer(1, AMOUNT_MAX);
    for (const key of ["kind", "value"]) if (!given.has(key)) given.error(`needs ${key}`);
    if (kind === undefined || value === undefined) continue;
    if (amounts.has(kind)) given.error(`names ${kind} a second time`);
    amounts.set(kind, value);
  }
  return amounts.size === 0 ? undefined : Object.fromEntries(amounts);
}

function parseKind(text: string): string | undefined {
  return KIND.test(text) ? text : undefined;
}

/** Devices by what they can do: `deploy.resources.reservations.devices`, and `gpus`. */
export function deviceRequestsOf(
  service: Cursor,
  reserved: Cursor | undefined,
): DeviceRequest[] | undefined {
  const requests = [
    ...(reserved?.get("devices")?.items() ?? []).map((item) => requestOf(item, [])),
    ...gpusOf(service.get("gpus")),
  ];
  const at = reserved?.get("devices") ?? service.get("gpus");
  if (requests.length > REQUESTS_MAX) at?.error(`has more than ${REQUESTS_MAX} items`);
  return requests.length === 0 ? undefined : requests;
}

/** `all`, or what each asks for beside being a GPU. */
function gpusOf(gpus: Cursor | undefined): DeviceRequest[] {
  if (gpus === undefined) return [];
  if (gpus.text() === "all") return [{ capabilities: [["gpu"]], count: "all" }];
  return gpus.items().map((item) => requestOf(item, ["gpu"]));
}

function requestOf(item: Cursor, always: readonly string[]): DeviceRequest {
  const named = (item.get("capabilities")?.items() ?? []).flatMap((one) => one.text() ?? []);
  const capabilities = [...new Set([...always, ...named])];
  const counted = item.get("count");
  const listed = item.get("device_ids");
  const ids = listed?.items().flatMap((one) => one.text() ?? []);
  if (counted !== undefined && listed !== undefined) {
    counted.error("does not go with device_ids, which says which devices; keep one of them");
  }
  if ((ids?.length ?? 0) > IDS_MAX) listed?.error(`has more than ${IDS_MAX} items`);
  return withoutUndefined({
    driver: item.get("driver")?.text(),
    capabilities: capabilities.length === 0 ? [] : [capabilities],
    count: countOf(counted) ?? "all",
    ids: ids?.length === 0 ? undefined : ids,
  });
}

/** A number, or `all`, which is also meant where none is given, as the specification has it. */
function countOf(counted: Cursor | undefined): DeviceRequest["count"] | undefined {
  if (counted?.text() === "all") return "all";
  return counted?.integer(1, 256);
}
