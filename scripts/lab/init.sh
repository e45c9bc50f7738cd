# The first process of a lab (see lab.ts): makes it private, then waits for its maker to end.
set -eu
dir=$1
[ -z "$2" ] || hostname "$2"
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/netns
# Podman's locks lie there: those of one host must not be taken for those of another.
mount -t tmpfs tmpfs /dev/shm
# A private /var/lib, with the folders that are written most on the disk itself.
mkdir -p "$dir/var-lib" "$dir/var-lib-work" "$dir/containers" "$dir/orchd"
layers="lowerdir=/var/lib,upperdir=$dir/var-lib,workdir=$dir/var-lib-work"
mount -t overlay overlay -o "$layers" /var/lib
mkdir -p /var/lib/containers /var/lib/orchd
mount --bind "$dir/containers" /var/lib/containers
mount --bind "$dir/orchd" /var/lib/orchd
# Podman keeps the definitions of its networks there.
if [ ! -d "$dir/etc-containers" ]; then
  cp -r /etc/containers "$dir/etc-containers"
  rm -rf "$dir/etc-containers/networks"
fi
mount --bind "$dir/etc-containers" /etc/containers
ip link set lo up
trap 'exit 0' TERM
# Standard input ends when the maker does, even if it was killed.
exec 3<&0
(read -r _ <&3 || true; kill -TERM 1) &
touch "$dir/ready"
# Waiting collects the orphans that a first process inherits.
while :; do
  sleep 3600 &
  wait
done
