import { deploy } from "./deploy.ts";
import { nodeProperties } from "./service-node.ts";
import { runProperties } from "./service-run.ts";
import { dictionary, either, flag, honoured, list, mapping, oneOrMany, options } from "./shape.ts";
import { pairs, parts, refused, scalar, text, textKey, warned } from "./shape.ts";
import type { Property, Shape } from "./shape.ts";
import type { Node } from "../yaml/tree.ts";
import { volumeExtension, xOrchd } from "./x-orchd.ts";

export const service: Shape = mapping(
  "a service",
  { ...runProperties, ...nodeProperties, deploy },
  { extension: xOrchd },
);

/** `external: true`, or an old way to say the name as well. */
const external: Shape = either(flag, mapping("external", { name: honoured(text) }));

export const volume: Shape = {
  ...scalar("null"),
  ...mapping(
    "a volume",
    {
      name: honoured(text),
      driver: honoured(text),
      driver_opts: honoured(options),
      external: honoured(external),
      labels: honoured(pairs),
    },
    { extension: volumeExtension },
  ),
};

const ipam: Shape = mapping(
  "ipam",
  parts({
    driver: text,
    config: list(
      mapping(
        "an ipam block",
        parts({
          subnet: text,
          ip_range: text,
          gateway: text,
          aux_addresses: dictionary(text),
        }),
      ),
    ),
    options: dictionary(text),
  }),
);

/** Drivers that connect containers within one machine, or over several, as orchd does. */
const isPlainDriver = (value: Node) => /^(bridge|overlay|default|)$/.test(textKey(value) ?? "x");
const isOn = (value: Node) => textKey(value) === "true";

const network: Shape = {
  ...scalar("null"),
  ...mapping("a network", {
    name: honoured(text),
    driver: warned(
      "has no effect: orchd connects tasks in its own way, which `orchd server --network` chooses",
      text,
      isPlainDriver,
    ),
    driver_opts: warned(
      "have no effect: `orchd server --network wireguard` encrypts between nodes",
      options,
    ),
    ipam: warned("has no effect: tasks have addresses of the cluster's range", ipam),
    external: honoured(external),
    internal: honoured(flag),
    enable_ipv4: warned("has no effect: every task has an IPv4 address", flag, isOn),
    enable_ipv6: warned(
      "has no effect: a cluster is made with IPv6 for all its tasks (orchd server --ipv6)",
      flag,
    ),
    attachable: warned("has no effect: only tasks of services are in networks", flag),
    labels: warned("are not kept: a network is its name, and who is in it", pairs),
  }),
};

const NO_DRIVER = "can't be chosen: orchd itself keeps secrets, sealed";

const secret = mapping("a secret", {
  name: honoured(text),
  environment: honoured(text),
  file: honoured(text),
  external: honoured(external),
  labels: honoured(pairs),
  driver: refused(NO_DRIVER, text),
  driver_opts: refused(NO_DRIVER, options),
  template_driver: honoured(text),
});

const config = mapping("a config", {
  name: honoured(text),
  content: honoured(text),
  environment: honoured(text),
  file: honoured(text),
  external: honoured(external),
  labels: honoured(pairs),
  template_driver: honoured(text),
});

const model = mapping(
  "a model",
  parts({
    name: text,
    model: text,
    context_size: scalar("integer"),
    runtime_flags: list(text),
  }),
  { required: ["model"] },
);

const include: Shape = list(
  either(
    text,
    mapping("include", {
      path: honoured(oneOrMany),
      env_file: honoured(oneOrMany),
      project_directory: honoured(text),
    }),
  ),
);

const rootProperties: Readonly<Record<string, Property>> = {
  version: warned("is obsolete and has no effect; remove it", text),
  name: honoured(text),
  include: honoured(include),
  services: honoured(dictionary(service)),
  networks: honoured(dictionary(network)),
  volumes: honoured(dictionary(volume)),
  secrets: honoured(dictionary(secret)),
  configs: honoured(dictionary(config)),
  models: refused("can't be used: orchd runs containers only", dictionary(model)),
};

/** Every property of the Compose Specification, at every depth, with what orchd makes of it. */
export const root: Shape = mapping("a Compose file", rootProperties);
