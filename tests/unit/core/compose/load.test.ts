import { describe, expect, test } from "bun:test";
import { loadText, problemsOf, serviceOf } from "./load-text.ts";

const WEB = "services:\n  web:\n    image: a\n";

describe("the stack's name", () => {
  const nameOf = (text: string, more: Parameters<typeof loadText>[1] = {}) =>
    loadText(text, more).name;

  test("is what --name says, then the file, then COMPOSE_PROJECT_NAME, then the directory", () => {
    const environment = { COMPOSE_PROJECT_NAME: "variable" };
    expect(nameOf(`name: file\n${WEB}`, { name: "given", environment })).toBe("given");
    expect(nameOf(`name: file\n${WEB}`, { environment })).toBe("file");
    expect(nameOf(WEB, { environment })).toBe("variable");
    expect(nameOf(WEB)).toBe("project");
  });

  test("is made of the directory's name by leaving out what no name may have", () => {
    expect(nameOf(WEB, { projectDirectory: "/srv/_My Shop.v2-" })).toBe("myshopv2");
    const result = loadText(WEB, { projectDirectory: "/" });
    expect(problemsOf(result)).toEqual([
      "/: error: the directory's name has no letter or digit; give the stack a name with --name, " +
        "or name: in the file",
    ]);
  });

  test("is refused where it stands when it is a path, has a line break or other letters", () => {
    expect(problemsOf(loadText(WEB, { name: "../etc" }))[0]).toStartWith('--name: error: "../etc"');
    const inFile = loadText(`name: "a\\nb"\n${WEB}`);
    expect(problemsOf(inFile)[0]).toStartWith(
      'compose.yaml:1:7: error: name: "a\\x0ab" is no name',
    );
    expect(inFile.spec).toBeUndefined();
    const environment = { COMPOSE_PROJECT_NAME: "ünï" };
    expect(problemsOf(loadText(WEB, { environment }))[0]).toStartWith(
      "COMPOSE_PROJECT_NAME: error",
    );
  });

  test("comes from the last file that has one, and can be used in the files", () => {
    const text = 'name: "${BASE}-x"\nservices: {web: {image: "${COMPOSE_PROJECT_NAME}"}}';
    const result = loadText(text, { environment: { BASE: "shop" } });
    expect(result.name).toBe("shop-x");
    expect(serviceOf(result, "web").container.image).toBe("shop-x");
  });
});

describe("variables", () => {
  const text = 'services: {web: {image: a, command: ["$A", "$B", "$C"]}}';
  const commandOf = (more: Parameters<typeof loadText>[1]) =>
    serviceOf(loadText(text, more), "web").container.command;

  test("come from the shell first, then from .env", () => {
    const disk = { "/project/.env": "A=file\nB=${A}2\nC='$A'" };
    expect(commandOf({ disk })).toEqual(["file", "file2", "$A"]);
    const environment = { A: "shell" };
    expect(commandOf({ disk, environment })).toEqual(["shell", "shell2", "$A"]);
  });

  test("come from --env-file instead of .env, the last file first", () => {
    const disk = { "/project/.env": "A=1\nB=1\nC=1", "/one": "A=2\nB=2\nC=2", "/two": "C=3" };
    expect(commandOf({ disk, envFiles: ["/one", "/two"] })).toEqual(["2", "2", "3"]);
  });

  test("an env file that is named and missing is an error, a missing .env is not", () => {
    expect(problemsOf(loadText(WEB))).toEqual([]);
    expect(problemsOf(loadText(WEB, { envFiles: ["/none"] }))).toEqual([
      '--env-file: error: "/none" can\'t be used: there is no such file',
    ]);
  });

  test("COMPOSE_PROFILES chooses profiles where no option does", () => {
    const text = "services: {a: {image: a, profiles: [one]}, b: {image: b, profiles: [two]}}";
    const servicesOf = (more: Parameters<typeof loadText>[1]) =>
      Object.keys(loadText(text, more).spec?.services ?? {});
    const environment = { COMPOSE_PROFILES: "one, other" };
    expect(servicesOf({ environment })).toEqual(["a"]);
    expect(servicesOf({ environment, profiles: ["two"] })).toEqual(["b"]);
    expect(servicesOf({ profiles: ["*"] })).toEqual(["a", "b"]);
  });
});

describe("problems", () => {
  test("carry the place of the file that is at fault, through merge, extends and include", () => {
    const result = loadText("", {
      files: [
        { path: "/project/compose.yaml", text: "include: [sub/in.yaml]\nservices: {}" },
        {
          path: "/project/over.yaml",
          text: "services:\n  web: {extends: {file: base.yaml, service: x}}\n",
        },
      ],
      disk: {
        "/project/sub/in.yaml": "services:\n  inner:\n    image: a\n    ports: [0]\n",
        "/project/base.yaml": "services:\n  x:\n    image: b\n    scale: -1\n",
      },
    });
    expect(problemsOf(result)).toEqual([
      expect.stringMatching(/^sub\/in\.yaml:4:13: error: services\.inner\.ports\[0\] must be/),
      "base.yaml:4:12: error: services.web.scale must be from 0 to 10000, not -1",
    ]);
  });

  test("are told once for what several services share by an anchor", () => {
    const result = loadText("x-a: &a {image: a, init: 3}\nservices: {one: *a, two: *a}");
    expect(problemsOf(result)).toEqual([
      'compose.yaml:1:26: error: services.one.init must be true or false, not "3"',
    ]);
  });

  test("are counted rather than told when there are hundreds", () => {
    const keys = Array.from({ length: 500 }, (_, i) => `k${i}x: 1`).join(", ");
    const problems = problemsOf(loadText(`services: {web: {image: a, ${keys}}}`));
    expect(problems).toHaveLength(201);
    expect(problems.at(-1)).toEndWith("error: 300 further errors not shown");
  });

  test("of a missing file do not become problems of everything that needs it", () => {
    const text =
      "include: [none.yaml]\nservices: {web: {image: a, volumes: ['data:/d'], depends_on: [db]}}";
    const errors = loadText(text).problems.filter(({ severity }) => severity === "error");
    expect(errors.map(({ message }) => message)).toEqual([
      'include[0]: "/project/none.yaml" can\'t be used: there is no such file',
    ]);
  });

  test("name files outside the project's directory by their whole path", () => {
    const disk = { "/elsewhere/x.yaml": "services: {x: {image: a, foo: 1}}" };
    expect(problemsOf(loadText("include: [../elsewhere/x.yaml]", { disk }))).toEqual([
      "/elsewhere/x.yaml:1:26: error: services.x.foo is not a property of a service",
    ]);
  });
});

describe("include and extends", () => {
  test("that go round in circles are told where they close", () => {
    const disk = {
      "/project/a.yaml": "include: [b.yaml]\nservices: {a: {image: a}}",
      "/project/b.yaml": "include: [a.yaml]\nservices: {b: {image: a}}",
    };
    expect(problemsOf(loadText("include: [a.yaml]", { disk }))).toEqual([
      'b.yaml:1:11: error: include[0] goes round in a circle: "/project/a.yaml" includes itself',
    ]);
    const text = "services: {a: {extends: {file: compose.yaml, service: a}, image: x}}";
    const own = { "/project/compose.yaml": text };
    expect(problemsOf(loadText(text, { disk: own }))[0]).toContain('in a circle: "a" -> "a"');
  });

  test("of a file that two others include is no conflict, but two services of one name are", () => {
    const disk = {
      "/project/a.yaml": "include: [c.yaml]\nservices: {a: {image: a}}",
      "/project/b.yaml": "include: [c.yaml]\nservices: {b: {image: a}}",
      "/project/c.yaml": "services: {c: {image: a}}",
    };
    const twice = loadText("include: [a.yaml, b.yaml]", { disk });
    expect(Object.keys(twice.spec?.services ?? {})).toEqual(["a", "c", "b"]);
    const conflict = loadText("include: [c.yaml]\nservices: {c: {image: other}}", { disk });
    expect(problemsOf(conflict)).toEqual([
      "compose.yaml:2:12: error: services.c is also defined in the included file c.yaml:1, and " +
        "differs there",
    ]);
  });

  test("load nothing from the network", () => {
    const result = loadText("include: ['https://example.org/compose.yaml']");
    expect(problemsOf(result)[0]).toContain("only files of this machine can be included");
  });

  test("of many services may read the same file", () => {
    const disk = { "/project/b.yaml": "services: {b: {image: a}}", "/project/e.env": "A=1" };
    const services = Array.from({ length: 400 }, (_, i) => {
      return `  s${i}: {extends: {file: b.yaml, service: b}, env_file: e.env}`;
    });
    const result = loadText(`services:\n${services.join("\n")}`, { disk });
    expect(serviceOf(result, "s399").container.environment).toEqual({ A: "1" });
  });
});

test("the report has every property once, in the order of the file", () => {
  const text = `${WEB}    labels: {a: b}\n    container_name: x\n    mem_swappiness: 1\n`;
  expect(loadText(text).report).toEqual([
    { path: "services", status: "honoured", message: "", file: "compose.yaml", line: 1, column: 1 },
    {
      path: "services.web.image",
      status: "honoured",
      message: "",
      file: "compose.yaml",
      line: 3,
      column: 5,
    },
    {
      path: "services.web.labels",
      status: "honoured",
      message: "",
      file: "compose.yaml",
      line: 4,
      column: 5,
    },
    {
      path: "services.web.container_name",
      status: "warned",
      message:
        "is not used: each task's container has a name of its own, which orchd ps and logs know",
      file: "compose.yaml",
      line: 5,
      column: 5,
    },
    {
      path: "services.web.mem_swappiness",
      status: "refused",
      message: "can't be set in this version; use memswap_limit",
      file: "compose.yaml",
      line: 6,
      column: 5,
    },
  ]);
});

test("an override file can take away what is refused here", () => {
  const result = loadText(WEB, {
    files: [
      { path: "/project/compose.yaml", text: `${WEB}    gpus: all\n    ports: ["80:80"]\n` },
      { path: "/project/o.yaml", text: "services: {web: {gpus: !reset null, ports: !reset []}}" },
    ],
  });
  expect(serviceOf(result, "web").ports).toEqual([]);
});

test("a start-first update is the default only where two tasks may run side by side", () => {
  const orderOf = (rest: string) =>
    serviceOf(loadText(`services: {web: {image: a, ${rest}}}\nvolumes: {d: {}}`), "web").update
      .order;
  expect(orderOf("volumes: ['d:/d:ro', /anonymous], tmpfs: /t")).toBe("start-first");
  expect(orderOf("volumes: ['d:/d']")).toBe("stop-first");
  expect(orderOf("volumes: ['./d:/d']")).toBe("stop-first");
  expect(orderOf("devices: [/dev/null]")).toBe("stop-first");
  expect(orderOf("ports: [{target: 80, published: 80, mode: host}]")).toBe("stop-first");
  expect(orderOf("network_mode: host")).toBe("stop-first");
  expect(orderOf("devices: [/dev/null], deploy: {update_config: {order: start-first}}")).toBe(
    "start-first",
  );
});
