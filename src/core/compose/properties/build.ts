import { grantKey } from "./list-keys.ts";
import {
  amount,
  count,
  either,
  flag,
  honoured,
  list,
  mapping,
  mergedBy,
  parts,
  text,
  texts,
} from "./shape.ts";
import { dictionary, pairs, type Shape } from "./shape.ts";

const grantParts = { source: text, target: text, uid: text, gid: text, mode: amount };
const GRANT = "a grant of a config or secret";

/** A build's share in secrets. */
const buildGrants = list(either(text, mapping(GRANT, parts(grantParts))), grantKey);

/** A service's share in a config or secret. */
export const grants = list(
  either(
    text,
    mapping(
      GRANT,
      Object.fromEntries(
        Object.entries(grantParts).map(([name, shape]) => [name, honoured(shape)]),
      ),
    ),
  ),
  grantKey,
);

export const ulimits = dictionary(
  either(
    count,
    mapping(
      "a ulimit",
      { hard: honoured(count), soft: honoured(count) },
      { required: ["soft", "hard"] },
    ),
  ),
);

export const extraHosts = mergedBy("hosts", either(dictionary(either(text, list(text))), texts));

export const build: Shape = either(
  text,
  mapping(
    "build",
    parts({
      context: text,
      dockerfile: text,
      dockerfile_inline: text,
      entitlements: list(text),
      args: pairs,
      ssh: pairs,
      labels: pairs,
      cache_from: list(text),
      cache_to: list(text),
      no_cache: flag,
      additional_contexts: pairs,
      network: text,
      provenance: flag,
      sbom: flag,
      pull: flag,
      target: text,
      shm_size: count,
      extra_hosts: extraHosts,
      isolation: text,
      privileged: flag,
      secrets: buildGrants,
      tags: texts,
      ulimits,
      platforms: texts,
    }),
  ),
);
