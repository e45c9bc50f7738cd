import { deploy } from "./deploy.ts";
import { nodeProperties, ONE_NETWORK } from "./service-node.ts";
import { runProperties } from "./service-run.ts";
import { dictionary, either, flag, honoured, list, mapping, oneOrMany, options } from "./shape.ts";
import { pairs, parts, refused, scalar, text, warned, type Property, type Shape } from "./shape.ts";
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

const network: Shape = {
  ...scalar("null"),
  ...mapping(
    "a network",
    parts({
      name: text,
      driver: text,
      driver_opts: options,
      ipam: mapping(
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
      ),
      external,
      internal: flag,
      enable_ipv4: flag,
      enable_ipv6: flag,
      attachable: flag,
      labels: pairs,
    }),
  ),
};

const secret = mapping(
  "a secret",
  parts({
    name: text,
    environment: text,
    file: text,
    external,
    labels: pairs,
    driver: text,
    driver_opts: options,
    template_driver: text,
  }),
);

const config = mapping(
  "a config",
  parts({
    name: text,
    content: text,
    environment: text,
    file: text,
    external,
    labels: pairs,
    template_driver: text,
  }),
);

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
  networks: warned(ONE_NETWORK, dictionary(network)),
  volumes: honoured(dictionary(volume)),
  secrets: refused("are not in this version; mount files with volumes instead", dictionary(secret)),
  configs: refused("are not in this version; mount files with volumes instead", dictionary(config)),
  models: refused("can't be used: orchd runs containers only", dictionary(model)),
};

/** Every property of the Compose Specification, at every depth, with what orchd makes of it. */
export const root: Shape = mapping("a Compose file", rootProperties);
