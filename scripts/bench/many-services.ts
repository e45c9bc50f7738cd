import { nodeIdSchema, serviceIdSchema, taskIdSchema, type NodeId } from "../../src/model/ids.ts";
import type { MapService, MapTask, NetworkMap } from "../../src/model/network-map.ts";

const TASKS_PER_NODE = 100;

/**
 * The map of a cluster with so many services, each with a virtual address and a published port, as
 * one of its nodes has it. Its tasks are at loopback addresses of a machine that tries it out.
 * @param spare tasks that the first service has more
 */
export function manyServices(
  services: number,
  tasksEach: number,
  spare: number,
): { map: NetworkMap; own: NodeId } {
  const nodes = Math.ceil((services * tasksEach + spare) / TASKS_PER_NODE);
  const nodeIds = Array.from({ length: nodes }, (_, i) => nodeIdSchema.parse(idOf("n", i)));
  const own = nodeIds[0] ?? nodeIdSchema.parse(idOf("n", 0));
  const tasks = Array.from({ length: services * tasksEach + spare }, (_, i): MapTask => {
    const node = Math.floor(i / TASKS_PER_NODE);
    return {
      id: taskIdSchema.parse(idOf("t", i)),
      serviceId: serviceIdSchema.parse(idOf("s", i % services)),
      slot: "1",
      nodeId: nodeIds[node] ?? own,
      address: `127.${node + 1}.0.${(i % TASKS_PER_NODE) + 2}`,
      isReady: true,
    };
  });
  const map: NetworkMap = {
    generation: 1,
    mode: "vxlan",
    range: "10.210.0.0/16",
    nodes: nodeIds.map((id, i) => ({
      id,
      hostname: id,
      address: `192.0.2.${i + 1}`,
      subnet: `10.210.${i + 1}.0/24`,
    })),
    services: Array.from({ length: services }, (_, i) => serviceOf(i)),
    tasks,
  };
  return { map, own };
}

function serviceOf(i: number): MapService {
  const port = { target: 8080, published: 20_000 + i, protocol: "tcp", mode: "ingress" } as const;
  return {
    id: serviceIdSchema.parse(idOf("s", i)),
    stack: `stack${i % 50}`,
    name: `service${i}`,
    networks: [{ network: `stack${i % 50}_default`, aliases: [], internal: false }],
    virtualIp: `10.210.${240 + Math.floor(i / 250)}.${(i % 250) + 1}`,
    ports: [port],
  };
}

/** Ids have twelve characters. */
function idOf(kind: string, number: number): string {
  return `${kind}${number.toString().padStart(11, "0")}`;
}
