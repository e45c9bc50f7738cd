import { extraHosts, ulimits } from "./build.ts";
import { deviceRequest } from "./deploy.ts";
import { deviceKey, mountKey, portKey } from "./list-keys.ts";
import { amount, choice, count, dictionary, either, flag, honoured, list } from "./shape.ts";
import { mapping, mergedBy, oneOrMany, options, pairs, parts, refused, scalar } from "./shape.ts";
import { text, textKey, texts, warned, type Property, type Shape } from "./shape.ts";

const FIXED_ADDRESS = "can't be chosen: orchd gives each task its address";

const device: Shape = either(
  text,
  mapping(
    "a device",
    { source: honoured(text), target: honoured(text), permissions: honoured(text) },
    { required: ["source"] },
  ),
);

const port: Shape = either(
  scalar("number", "string"),
  mapping("a port", {
    name: honoured(text),
    mode: honoured(text),
    host_ip: honoured(text),
    target: honoured(count),
    published: honoured(count),
    protocol: honoured(text),
    app_protocol: warned("has no effect: traffic is passed on as it is", text),
  }),
);

const bind = mapping("bind", {
  propagation: honoured(text),
  create_host_path: honoured(flag),
  recursive: refused(
    "can't be chosen: what is mounted below the directory always comes with it",
    choice("enabled", "disabled", "writable", "readonly"),
  ),
  selinux: warned("has no effect: orchd relabels nothing for SELinux", choice("z", "Z")),
});

const mount: Shape = either(
  text,
  mapping(
    "a volume",
    {
      type: honoured(choice("bind", "volume", "tmpfs", "cluster", "npipe", "image")),
      source: honoured(text),
      target: honoured(text),
      read_only: honoured(flag),
      consistency: warned("has no effect: on Linux both sides always see the same", text),
      bind: honoured(bind),
      volume: honoured(
        mapping("volume", {
          labels: honoured(pairs),
          nocopy: honoured(flag),
          subpath: honoured(text),
        }),
      ),
      tmpfs: honoured(mapping("tmpfs", { size: honoured(count), mode: honoured(amount) })),
      image: refused(
        "can't be mounted in this version",
        mapping("image", parts({ subpath: text })),
      ),
    },
    { required: ["type"] },
  ),
);

const number = scalar("number");

const attachment: Shape = {
  ...scalar("null"),
  ...mapping("a network of a service", {
    aliases: honoured(texts),
    interface_name: warned("has no effect: a task has one interface for all its networks", text),
    driver_opts: warned("have no effect: orchd connects tasks in its own way", options),
    priority: warned("has no effect: a task has one address for all its networks", number),
    gw_priority: warned("has no effect: a task has one way out for all its networks", number),
    ipv4_address: refused(FIXED_ADDRESS, text),
    ipv6_address: refused(FIXED_ADDRESS, text),
    link_local_ips: refused(FIXED_ADDRESS, texts),
    mac_address: refused(FIXED_ADDRESS, text),
  }),
};

const gpus: Shape = either(choice("all"), list(mapping("a GPU", deviceRequest)));

const ioLimit = list(mapping("a limit of a device", parts({ path: text, rate: count })));
const blkioConfig = mapping(
  "blkio_config",
  parts({
    device_read_bps: ioLimit,
    device_read_iops: ioLimit,
    device_write_bps: ioLimit,
    device_write_iops: ioLimit,
    weight: count,
    weight_device: list(mapping("a weight of a device", parts({ path: text, weight: count }))),
  }),
);

const NO_SUCH_LIMIT = "can't be set in this version; use cpus, cpu_shares or cpuset";

/** What a container shares with its node: files, devices, network, resources, rights. */
export const nodeProperties: Readonly<Record<string, Property>> = {
  volumes: honoured(list(mount, mountKey)),
  tmpfs: honoured(oneOrMany),
  devices: honoured(list(device, deviceKey)),
  ports: honoured(list(port, portKey)),
  expose: warned(
    "has no effect but on x-orchd.ingress: tasks that share a network reach every port of others",
    list(scalar("string", "number"), textKey),
  ),
  networks: honoured(mergedBy("names", either(texts, dictionary(attachment)))),
  links: honoured(texts),
  network_mode: honoured(text),
  extra_hosts: honoured(extraHosts),
  dns: honoured(oneOrMany),
  dns_search: honoured(oneOrMany),
  dns_opt: honoured(texts),
  pid: honoured(scalar("string", "null")),
  ipc: honoured(text),
  uts: honoured(text),
  userns_mode: honoured(text),
  cgroup: honoured(choice("host", "private")),
  read_only: honoured(flag),
  privileged: honoured(flag),
  cap_add: honoured(texts),
  cap_drop: honoured(texts),
  security_opt: honoured(texts),
  sysctls: honoured(pairs),
  ulimits: honoured(ulimits),
  shm_size: honoured(amount),
  oom_score_adj: honoured(count),
  oom_kill_disable: honoured(flag),
  mem_limit: honoured(amount),
  mem_reservation: honoured(count),
  memswap_limit: honoured(amount),
  cpus: honoured(amount),
  cpu_shares: honoured(amount),
  cpu_quota: honoured(amount),
  cpu_period: honoured(amount),
  cpuset: honoured(text),
  pids_limit: honoured(amount),
  cpu_count: refused(NO_SUCH_LIMIT, count),
  cpu_percent: refused(NO_SUCH_LIMIT, count),
  cpu_rt_period: refused(NO_SUCH_LIMIT, amount),
  cpu_rt_runtime: refused(NO_SUCH_LIMIT, amount),
  mem_swappiness: refused("can't be set in this version; use memswap_limit", count),
  blkio_config: refused("can't be set in this version", blkioConfig),
  device_cgroup_rules: refused("can't be set in this version; name devices one by one", texts),
  gpus: honoured(gpus),
  storage_opt: refused("can't be set in this version", { map: { noun: "", properties: {} } }),
  cgroup_parent: refused("can't be chosen: orchd keeps its tasks' cgroups itself", text),
  runtime: refused("can't be chosen for a service; it is the node's own", text),
  isolation: refused("is for Windows only", text, (value) => textKey(value) === "default"),
  volumes_from: refused("can't be used; name the same volume in both services", texts),
  external_links: refused("can't be used: put both services into one external network", texts),
  mac_address: refused(FIXED_ADDRESS, text),
};
