# The first process of a switch (see switch.ts): a bridge in a network namespace of its own.
set -eu
ready=$1
ip link set lo up
ip link add br0 type bridge
ip link set br0 type bridge mcast_snooping 0
# Hosts have a default route, which leads here and no further.
for net in 10.99.0 10.98.0; do ip addr add "$net.254/24" dev br0; done
ip link set br0 up
nft -f - <<'RULES'
table bridge traffic {
  set pairs { type ifname . ifname; flags dynamic; size 65535; counter; }
  chain forward {
    type filter hook forward priority -10;
    ether type ip update @pairs { iifname . oifname }
  }
}
table bridge faults {
  chain forward { type filter hook forward priority 0; }
}
RULES
touch "$ready"
# Standard input ends when the maker does, even if it was killed.
read -r _ || true
