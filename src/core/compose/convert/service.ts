import type { Resources } from "../../../model/container.ts";
import { REPLICAS_MAX, type ServiceSpec } from "../../../model/service.ts";
import { quoted } from "../problem.ts";
import type { Loader } from "../read/loader.ts";
import { containerSpecOf } from "./container.ts";
import type { Cursor } from "./cursor.ts";
import { imageOf } from "./image.ts";
import { pairsOf } from "./pairs.ts";
import { placementOf, precedenceOf } from "./placement.ts";
import { disconnectPolicyOf, restartPolicyOf, updatePolicyOf } from "./policies.ts";
import { portsOf, type PlacedPort } from "./ports.ts";
import { resourcesOf } from "./resources.ts";
import type { Volumes } from "./volumes.ts";

export interface ServiceContext {
  /** The stack's name. */
  stack: string;
  volumes: Volumes;
  loader: Loader;
}

export interface ConvertedService {
  /** Only to be used when no problem is an error. */
  spec: ServiceSpec;
  ports: PlacedPort[];
}

/** One service of a validated file. All problems are told, whatever else is wrong with it. */
export function convertService(service: Cursor, context: ServiceContext): ConvertedService {
  const { stack, volumes, loader } = context;
  const image = imageOf(service) ?? "";
  const container = containerSpecOf(service, { image, volumes, loader });
  const ports = portsOf(service);
  const { mode, replicas } = scaleOf(service);
  const usesHostPorts =
    container.networkMode === "host" || ports.some(({ port }) => port.mode === "host");
  const resources = resourcesOf(service);
  const hasDevices = container.devices.length > 0 || reservesExclusively(resources);
  const spec: ServiceSpec = {
    mode,
    replicas,
    container,
    resources,
    ports: ports.map(({ port }) => port),
    placement: placementOf(service, stack),
    restart: restartPolicyOf(service),
    update: updatePolicyOf(service, { mounts: container.mounts, hasDevices, usesHostPorts }),
    disconnect: disconnectPolicyOf(service),
    ...precedenceOf(service),
    labels: pairsOf(service.get("deploy")?.get("labels")),
    restarts: 0,
  };
  return { spec, ports };
}

/** Whether it asks for devices that two tasks can't have at once; GPUs are shared. */
function reservesExclusively({ reservations }: Resources): boolean {
  const isGpu = (set: readonly string[]) => set.includes("gpu");
  return (reservations.devices ?? []).some(({ capabilities }) => !capabilities.some(isGpu));
}

function scaleOf(service: Cursor): Pick<ServiceSpec, "mode" | "replicas"> {
  const deploy = service.get("deploy");
  const mode = modeOf(deploy?.get("mode"));
  const replicas = deploy?.get("replicas");
  const scale = service.get("scale");
  if (mode === "global") {
    for (const given of [replicas, scale]) {
      given?.error("does not go with deploy.mode: global, which runs one task on each node");
    }
    return { mode, replicas: 1 };
  }
  const [wanted, scaled] = [replicas?.integer(0, REPLICAS_MAX), scale?.integer(0, REPLICAS_MAX)];
  if (wanted !== undefined && scaled !== undefined && wanted !== scaled) {
    scale?.error(`says otherwise than ${replicas?.path ?? ""}; keep one of them`);
  }
  return { mode, replicas: wanted ?? scaled ?? 1 };
}

function modeOf(mode: Cursor | undefined): ServiceSpec["mode"] {
  const text = mode?.text();
  if (text === "global") return "global";
  if (text === "replicated-job" || text === "global-job") {
    mode?.refuse(`is ${text}: jobs are not in this version`);
  } else if (text !== undefined && text !== "replicated") {
    mode?.error(`must be replicated or global, not ${quoted(text)}`);
  }
  return "replicated";
}
