import type { FleetHost } from "../lab/fleet.ts";

/** One end of a way: a network namespace on a host, and its address. */
export interface End {
  host: FleetHost;
  net: string;
  address: string;
}

/**
 * What an engineer would type to connect a namespace on each of two hosts: a bridge, a VXLAN with
 * one unicast entry for the other host, and a route. No rule of ours is in its way.
 */
export async function handMade(a: FleetHost, b: FleetHost): Promise<[End, End]> {
  await connect(a, 1, b.address, 2);
  await connect(b, 2, a.address, 1);
  const endOf = (host: FleetHost, n: number): End => {
    return { host, net: "/run/netns/hand", address: `10.55.${n}.2` };
  };
  return [endOf(a, 1), endOf(b, 2)];
}

async function connect(host: FleetHost, own: number, peer: string, other: number): Promise<void> {
  const mac = (n: number) => `06:55:00:00:00:0${n}`;
  const script = `set -e
ip netns add hand
ip link add hand0 type bridge
ip addr add 10.55.${own}.1/24 dev hand0
ip link add handv mtu 1450 type veth peer name eth0 mtu 1450 netns hand
ip link set handv master hand0 up
ip link set hand0 up
nsenter --net=/run/netns/hand sh -c '
  ip addr add 10.55.${own}.2/24 dev eth0
  ip link set eth0 up
  ip route add default via 10.55.${own}.1'
ip link add hand-vx address ${mac(own)} mtu 1450 type vxlan id 55 dstport 4790 nolearning \\
  local ${host.address}
ip link set hand-vx up
ip neigh add 10.55.${other}.1 lladdr ${mac(other)} dev hand-vx nud permanent
bridge fdb append ${mac(other)} dev hand-vx dst ${peer}
ip route add 10.55.${other}.0/24 via 10.55.${other}.1 dev hand-vx onlink`;
  const { code, stderr } = await host.lab.run(["sh", "-c", script]);
  if (code !== 0) throw new Error(`the VXLAN could not be made by hand: ${stderr}`);
}
