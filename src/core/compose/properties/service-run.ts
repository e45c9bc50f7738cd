import { build, grants } from "./build.ts";
import { envFileKey } from "./list-keys.ts";
import { choice, command, count, dictionary, either, flag, honoured, list } from "./shape.ts";
import { mapping, mergedBy, oneOrMany, pairs, parts, refused, scalar } from "./shape.ts";
import { text, textKey, texts, warned, type Property, type Shape } from "./shape.ts";

const LATER = "is not in this version";

const serviceHook = mapping(
  "a hook",
  parts({
    command,
    user: text,
    privileged: flag,
    working_dir: text,
    environment: pairs,
  }),
  { required: ["command"] },
);

const envFile = mergedBy(
  "many",
  either(
    text,
    list(
      either(
        text,
        mapping(
          "env_file",
          { path: honoured(text), format: honoured(text), required: honoured(flag) },
          { required: ["path"] },
        ),
      ),
      envFileKey,
    ),
  ),
);

const healthcheck = mapping("healthcheck", {
  test: honoured(mergedBy("replace", either(text, list(text)))),
  disable: honoured(flag),
  interval: honoured(text),
  timeout: honoured(text),
  retries: honoured(scalar("number", "string")),
  start_period: honoured(text),
  start_interval: honoured(text),
});

const watch = list(
  mapping(
    "a watch rule",
    parts({
      ignore: oneOrMany,
      include: oneOrMany,
      path: text,
      action: choice("rebuild", "sync", "restart", "sync+restart", "sync+exec"),
      target: text,
      exec: serviceHook,
      initial_sync: scalar("boolean"),
    }),
    { required: ["path", "action"] },
  ),
);

const develop: Shape = { ...scalar("null"), ...mapping("develop", parts({ watch })) };

const dependency = mapping(
  "a dependency",
  {
    restart: honoured(flag),
    required: honoured(scalar("boolean")),
    condition: honoured(
      choice("service_started", "service_healthy", "service_completed_successfully"),
    ),
  },
  { required: ["condition"] },
);

const provider = mergedBy(
  "replace",
  mapping(
    "provider",
    parts({
      type: text,
      options: dictionary(
        either(scalar("string", "number", "boolean"), list(scalar("string", "number", "boolean"))),
      ),
    }),
    { required: ["type"] },
  ),
);

const credentialSpec = mapping(
  "credential_spec",
  parts({ config: text, file: text, registry: text }),
);

const modelUse = mergedBy(
  "names",
  either(dictionary(mapping("a model", parts({ endpoint_var: text, model_var: text }))), texts),
);

const extendsShape: Shape = either(
  text,
  mapping("extends", { service: honoured(text), file: honoured(text) }, { required: ["service"] }),
);

/** What runs, with which variables and when. */
export const runProperties: Readonly<Record<string, Property>> = {
  image: honoured(text),
  build: warned("is not done: orchd does not build, so the image must be there already", build),
  command: honoured(command),
  entrypoint: honoured(command),
  environment: honoured(pairs),
  env_file: honoured(envFile),
  labels: honoured(pairs),
  label_file: honoured(mergedBy("many", either(text, list(text)))),
  annotations: honoured(pairs),
  user: honoured(text),
  group_add: honoured(list(scalar("string", "number"), textKey)),
  working_dir: honoured(text),
  hostname: honoured(text),
  domainname: honoured(text),
  container_name: warned(
    "is not used: each task's container has a name of its own, which orchd ps and logs know",
    text,
  ),
  init: honoured(flag),
  tty: honoured(flag),
  stdin_open: honoured(flag),
  attach: warned("has no effect: orchd up never shows logs; use orchd logs -f", flag),
  platform: honoured(text),
  profiles: honoured(texts),
  pull_policy: honoured(text),
  pull_refresh_after: warned("has no effect: images are not refreshed by age", text),
  restart: honoured(text),
  scale: honoured(count),
  stop_signal: honoured(text),
  stop_grace_period: honoured(text),
  extends: honoured(extendsShape),
  depends_on: honoured(mergedBy("names", either(texts, dictionary(dependency)))),
  healthcheck: honoured(healthcheck),
  develop: warned("has no effect: orchd watches no source files", develop),
  logging: warned(
    "has no effect: each node keeps three files of 10 MiB of each task's log",
    mapping("logging", {
      ...parts({
        driver: text,
        options: dictionary(scalar("string", "number", "null")),
      }),
    }),
  ),
  configs: honoured(grants),
  secrets: honoured(grants),
  post_start: refused(`${LATER}; let the image's own entrypoint do it`, list(serviceHook)),
  pre_stop: refused(`${LATER}; let the program act on its stop_signal`, list(serviceHook)),
  provider: refused("can't be used: orchd runs containers only", provider),
  models: refused("can't be used: orchd runs containers only; give the model an image", modelUse),
  credential_spec: refused("is for Windows only", credentialSpec),
  use_api_socket: refused(
    "can't be used: there is no Docker API here; mount the socket that you need with volumes",
    scalar("boolean"),
  ),
};
