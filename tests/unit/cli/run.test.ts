import { describe, expect, test } from "bun:test";
import { COMMANDS } from "../../../src/cli/commands.ts";
import { runDirOf, socketPathOf } from "../../../src/cli/socket-path.ts";
import type { JoinOptions } from "../../../src/cli/program.ts";
import { parseLinkWindow } from "../../../src/model/link.ts";
import { FakeIo, run } from "./fake-io.ts";

describe("wrong usage ends with 2 and says what to do", () => {
  const cases: [argv: string[], told: string][] = [
    [[], "Usage: orchd COMMAND"],
    [["pss"], 'there is no command "pss": did you mean `orchd ps`?'],
    [["frobnicate"], "see `orchd --help`"],
    [["--frob"], 'there is no option "--frob"'],
    [["ps", "--alll"], "(Did you mean --all?)\nSee `orchd ps --help`."],
    [["ps", "a", "b"], "too many arguments"],
    [["down"], "missing required argument 'stack'"],
    [["scale", "web"], "write SERVICE=N"],
    [["scale", "web=-1"], "write SERVICE=N"],
    [["scale", "web=99999"], "the most is 10000"],
    [["scale", "web=1", "web=2"], "named twice"],
    [["logs", "--tail", "few", "web"], "must be a whole number"],
    [["logs", "--since", "soon", "web"], "names no moment"],
    [["up", "--timeout", "5"], "Write it like 90s"],
    [["up", "-f", "-", "-f", "-"], "only once"],
    [["image"], "it needs one of load, copy, pull, save, ls, where, rm, prune"],
    [["image", "lsx"], "(Did you mean ls?)"],
    [["completion", "tcsh"], "bash, zsh, fish"],
    [["server", "--runtime", "lxc"], "auto, podman, containerd, docker, process, fake"],
    [["server", "--listen", "6770"], "Write it like 0.0.0.0:6770, or none."],
    [["server", "--listen", "host:6770"], "Write it like 0.0.0.0:6770, or none."],
    [["server", "--listen", "0.0.0.0:65536"], "Write it like 0.0.0.0:6770, or none."],
    [["server", "--advertise", "host"], "It must be an IP address."],
    [["exec", "web"], "missing required argument 'command'"],
    [["exec", "web", "--"], "exec needs a command"],
    [["exec", "-t", "web", "sh"], "-t needs a terminal"],
    [["exec", "-e", "=x", "web", "sh"], "is not NAME=VALUE"],
    [["ps", "--watch"], "--watch draws on a terminal"],
    [["ps", "--socket", `/${"s".repeat(200)}`], "too long"],
  ];
  for (const [argv, told] of cases) {
    test(`orchd ${argv.join(" ").slice(0, 40)}`, async () => {
      const { code, out, err } = await run(argv);
      expect({ code, out }).toEqual({ code: 2, out: "" });
      expect(err).toContain(told);
    });
  }
});

describe("a server that is not there ends with 3 and says how to start it", () => {
  const remote = ["ls", "ps", "services", "nodes", "down shop", "scale web=1", "restart web"];
  const streams = ["logs web", "exec web sh", "events -f", "explain web", "image ls"];
  for (const line of [...remote, ...streams]) {
    test(`orchd ${line}`, async () => {
      const io = new FakeIo({ env: { ORCHD_SOCKET: "/no" } });
      const { code, out, err } = await run(line.split(" "), io);
      expect({ code, out }).toEqual({ code: 3, out: "" });
      expect(err).toBe(
        "orchd server does not answer on /no: start it with `orchd server`, " +
          "or name its socket with --socket\n",
      );
    });
  }
});

describe("help", () => {
  test("lists every command", async () => {
    const { code, out } = await run(["--help"]);
    expect(code).toBe(0);
    for (const { name } of COMMANDS) expect(out).toContain(`\n  ${name} `);
  });

  for (const { name } of COMMANDS) {
    test(`orchd ${name} --help shows its use and an example`, async () => {
      const { code, out, err } = await run([name, "--help"]);
      expect({ code, err }).toEqual({ code: 0, err: "" });
      expect(out).toStartWith(`Usage: orchd ${name}`);
      expect(out).toContain("Examples:\n  ");
      expect(await run(["help", name])).toMatchObject({ code: 0, out });
    });
  }
});

describe("the socket", () => {
  const choose = (choice: object, env: Record<string, string> = {}) =>
    socketPathOf(choice, env, "/home/ann");

  test("is the usual one, or that of the data directory, or the one that is named", () => {
    expect(choose({})).toBe("/run/orchd/orchd.sock");
    expect(choose({ dataDir: "/srv/a" })).toBe("/srv/a/orchd.sock");
    expect(choose({ dataDir: "data" })).toBe("/home/ann/data/orchd.sock");
    expect(choose({ socket: "/x.sock", dataDir: "/srv/a" })).toBe("/x.sock");
  });

  test("comes from the environment where the command line says nothing", () => {
    const env = { ORCHD_SOCKET: "/env.sock", ORCHD_DATA_DIR: "/srv/env" };
    expect(choose({}, env)).toBe("/env.sock");
    expect(choose({}, { ORCHD_DATA_DIR: "/srv/env" })).toBe("/srv/env/orchd.sock");
    expect(choose({ dataDir: "/srv/a" }, env)).toBe("/srv/a/orchd.sock");
    expect(choose({}, { ORCHD_SOCKET: "", ORCHD_DATA_DIR: "" })).toBe("/run/orchd/orchd.sock");
  });

  test("is where a server with the same options puts it", () => {
    expect(runDirOf("/var/lib/orchd")).toBe("/run/orchd");
    expect(runDirOf("/srv/a")).toBe("/srv/a");
  });

  test("can be named before the command", async () => {
    expect((await run(["--socket", "/no", "ls"])).err).toContain("answer on /no:");
    expect((await run(["--data-dir=/no", "ls"])).err).toContain("answer on /no/orchd.sock:");
  });
});

describe("orchd server", () => {
  test("starts with the usual directories", async () => {
    expect((await run(["server"])).started).toEqual([
      {
        dataDir: "/var/lib/orchd",
        runDir: "/run/orchd",
        listen: { host: "0.0.0.0", port: 6770, gossipPort: 7946 },
        runtime: "auto",
        agent: true,
        sockets: {},
        strategy: "spread",
        ingress: { http: 80, https: 443, log: false },
      },
    ]);
  });

  test("takes paths from where it is started", async () => {
    const io = new FakeIo({ cwd: "/home/ann" });
    const argv = ["server", "--data-dir", "d", "--no-agent", "--podman-socket", "p.sock"];
    expect((await run([...argv, "--runtime", "fake"], io)).started).toEqual([
      {
        dataDir: "/home/ann/d",
        runDir: "/home/ann/d",
        listen: { host: "0.0.0.0", port: 6770, gossipPort: 7946 },
        runtime: "fake",
        agent: false,
        strategy: "spread",
        ingress: { http: 80, https: 443, log: false },
        sockets: { podman: "/home/ann/p.sock" },
      },
    ]);
  });

  test("tells of what the machine has, by option or else by its environment", async () => {
    const resourcesOf = async (argv: string[], env: Record<string, string> = {}) => {
      const { started } = await run(["server", ...argv], new FakeIo({ env }));
      return started[0]?.resources;
    };
    expect(await resourcesOf(["--resource", "lora=2", "--resource", "licence=1"])).toEqual({
      lora: 2,
      licence: 1,
    });
    const env = { ORCHD_RESOURCES: "lora=1, modem=3" };
    expect(await resourcesOf([], env)).toEqual({ lora: 1, modem: 3 });
    expect(await resourcesOf(["--resource", "lora=2"], env)).toEqual({ lora: 2 });
    const wrong = await run(["server", "--resource", "lora"]);
    expect([wrong.code, wrong.err]).toEqual([
      2,
      'a resource must be written like lora=2, not "lora"\n',
    ]);
  });

  test("listens where it is told, or nowhere but on its socket", async () => {
    const listenOf = async (...words: string[]) => {
      const [started] = (await run(["server", ...words])).started;
      return [started?.listen, started?.advertise];
    };
    expect(await listenOf("--listen", "192.0.2.1:0")).toEqual([
      { host: "192.0.2.1", port: 0, gossipPort: 7946 },
      undefined,
    ]);
    expect(await listenOf("--listen", "[::]:7000", "--advertise", "2001:db8::1")).toEqual([
      { host: "::", port: 7000, gossipPort: 7946 },
      "2001:db8::1",
    ]);
    expect(await listenOf("--listen", "none")).toEqual([undefined, undefined]);
  });
});

test("nothing runs while the check of certificates may be switched off", async () => {
  for (const value of ["0", "1", ""]) {
    const io = new FakeIo({ env: { NODE_TLS_REJECT_UNAUTHORIZED: value } });
    const { code, err, started } = await run(["server"], io);
    expect([code, started]).toEqual([2, []]);
    expect(err).toBe(
      "NODE_TLS_REJECT_UNAUTHORIZED is set, which can switch off the check of certificates: " +
        "unset it, orchd does not run with it\n",
    );
    expect((await run(["ls"], io)).code).toBe(2);
  }
});

test("the version is told as text and as JSON", async () => {
  expect((await run(["version"])).out).toBe("orchd 1.2.3 (commit abc)\n");
  const { out } = await run(["version", "--json"]);
  expect(JSON.parse(out)).toEqual({ version: "1.2.3", commit: "abc", api: "v1" });
});

describe("orchd join", () => {
  const usual: JoinOptions = {
    dataDir: "/var/lib/orchd",
    runDir: "/run/orchd",
    runtime: "auto",
    token: undefined,
    servers: [],
    labels: {},
    name: undefined,
    gossipPort: 7946,
    sockets: {},
    ingress: { http: 80, https: 443, log: false },
  };

  test("needs no word after the first start", async () => {
    expect((await run(["join"])).joined).toEqual([usual]);
  });

  test("takes the token with addresses, labels and a name", async () => {
    const argv = ["join", "ORCHD-1-a@10.0.0.5:6770,10.0.0.6", "10.0.0.7:7000", "--name", "till"];
    const { joined } = await run([...argv, "--label", "zone=hall", "--label", "ssd="]);
    const servers = ["10.0.0.5:6770", "10.0.0.6", "10.0.0.7:7000"];
    const labels = { zone: "hall", ssd: "" };
    expect(joined).toEqual([{ ...usual, token: "ORCHD-1-a", servers, labels, name: "till" }]);
  });

  test("takes by which numbers the cluster gossips, as the server does", async () => {
    const { joined } = await run(["join", "--gossip-preset", "wan"]);
    expect(joined).toEqual([{ ...usual, gossipPreset: "wan" }]);
    const { started } = await run(["server", "--gossip-preset", "local"]);
    expect(started[0]?.listen).toMatchObject({ gossipPort: 7946, gossipPreset: "local" });
    const { code, err } = await run(["join", "--gossip-preset", "moon"]);
    expect([code, err]).toEqual([2, expect.stringContaining("orchd, lan, wan, local")]);
  });

  test("takes what the machine's link may be used for", async () => {
    const { joined } = await run([
      "join",
      "--link-limit",
      "1MiB/s",
      "--link-window",
      "22:00-06:00",
    ]);
    const windows = [parseLinkWindow("22:00-06:00")].flatMap((window) => window ?? []);
    expect(joined).toEqual([{ ...usual, link: { bytesPerSecond: 1_048_576, windows } }]);
  });

  test("puts a token together that a mail broke in two", async () => {
    const { joined } = await run(["join", "ORCHD-1-abc", "def@10.0.0.5"]);
    expect(joined).toEqual([{ ...usual, token: "ORCHD-1-abcdef", servers: ["10.0.0.5"] }]);
  });

  test("reads the token from standard input or the environment as well", async () => {
    const piped = await run(["join", "-"], new FakeIo({ input: "ORCHD-1-a@10.0.0.5\n" }));
    expect(piped.joined).toEqual([{ ...usual, token: "ORCHD-1-a", servers: ["10.0.0.5"] }]);
    const env = { ORCHD_TOKEN: "ORCHD-1-a" };
    const named = await run(["join"], new FakeIo({ env }));
    expect(named.joined).toEqual([{ ...usual, token: "ORCHD-1-a" }]);
  });

  test("refuses a label without a value's sign", async () => {
    const { code, err } = await run(["join", "--label", "zone"]);
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining("like zone=hall") });
  });
});
