import { expect, test } from "bun:test";
import { root } from "../../scripts/project.ts";

/** What the program says, run in a network of its own. */
async function inOwnNetwork(program: string): Promise<unknown[]> {
  const text = `
    import { applyNftables } from "${root}/src/net/nftables.ts";
    const list = () => Bun.spawnSync(["nft", "list", "table", "ip", "orchd"]).stdout.toString();
    const has = (...texts) => texts.map((text) => list().includes(text));
    const tried = (script) => applyNftables(script).then(() => "taken", ({ message }) => message);
    const say = (value) => console.log(JSON.stringify(value));
    let started = 0;
    const spawn = Bun.spawn;
    Bun.spawn = (...all) => (started++, spawn(...all));
    await applyNftables("add table ip orchd\\nadd chain ip orchd a\\n");
    ${program}`;
  const child = Bun.spawn(["unshare", "--net", process.execPath, "-e", text], {
    stderr: "inherit",
  });
  const printed = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  const lines = printed.split("\n").filter(Boolean);
  return lines.map((line): unknown => JSON.parse(line));
}

test("a change is made without a program, all of it or none", async () => {
  const said = await inOwnNetwork(`
    say(await tried("add chain ip orchd b\\nadd rule ip orchd b accept\\n"));
    say(await tried("add chain ip orchd c\\nadd rule ip orchd nowhere accept\\n"));
    say(await tried("add chain ip orchd c\\nadd rubbish\\n"));
    say(has("chain b", "accept", "chain c"));
    say(started);`);
  expect(said).toEqual([
    "taken",
    expect.stringMatching(/^nft refused the node's rules: Error: .*No such file or directory$/),
    expect.stringMatching(/^nft refused the node's rules: Error: syntax error.*$/),
    [true, true, false],
    1,
  ]);
});

test("what somebody else did in between is known to a change", async () => {
  const said = await inOwnNetwork(`
    say(await tried("add chain ip orchd b\\n"));
    Bun.spawnSync(["nft", "flush", "ruleset"]);
    say(await tried("add chain ip orchd c\\n"));
    Bun.spawnSync(["nft", "add table ip orchd; add chain ip orchd theirs"]);
    say(await tried("add rule ip orchd theirs accept\\n"));
    say(has("accept"));`);
  expect(said).toEqual([
    "taken",
    expect.stringMatching(/^nft refused the node's rules: Error: .*No such file or directory$/),
    "taken",
    [true],
  ]);
});

test("a long script is left to the program, so that nothing else waits for it", async () => {
  const said = await inOwnNetwork(`
    say(await tried("add rule ip orchd a ip saddr 1.2.3.4 counter accept\\n".repeat(2000)));
    say(started);`);
  expect(said).toEqual(["taken", 2]);
});
