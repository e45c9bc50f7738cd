import { describe, expect, test } from "bun:test";
import { root } from "../../scripts/project.ts";

/** What the program prints, run in a network of its own with a bell that counts its rings. */
async function inOwnNetwork(program: string): Promise<string[]> {
  const text = `
    import { writeFileSync } from "node:fs";
    import { KernelBell } from "${root}/src/net/kernel-watch.ts";
    import { waitUntil } from "${root}/scripts/lab/lab.ts";
    const sh = (line) => {
      const { success, stderr } = Bun.spawnSync(["sh", "-c", line]);
      if (!success) throw new Error(stderr.toString());
    };
    const sockets = () =>
      Number(Bun.spawnSync(["sh", "-c", "ls -l /proc/$PPID/fd | grep -c socket:"]).stdout);
    let rings = 0;
    const bell = await KernelBell.open(() => rings++);
    const rung = async (what, isMore = () => rings > 0) => {
      await waitUntil(what, 5000, async () => isMore());
      console.log(what);
      rings = 0;
    };
    ${program}`;
  const child = Bun.spawn(["unshare", "--net", process.execPath, "-e", text], {
    stderr: "inherit",
  });
  const printed = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  return printed.split("\n").filter(Boolean);
}

describe("the kernel rings when somebody changes", () => {
  test("rules, devices or routes", async () => {
    const heard = await inOwnNetwork(`
      sh("nft add table ip orchd");
      await rung("a table");
      sh("nft flush ruleset");
      await rung("a flush");
      sh("ip link add orchd0 type bridge && ip link set orchd0 up");
      await rung("a device");
      sh("ip route add 10.9.0.0/24 dev orchd0");
      await rung("a route");
      sh("ip -6 route add fd00:9::/64 dev orchd0");
      await rung("a route of IPv6");
      bell.close();`);
    expect(heard).toEqual(["a table", "a flush", "a device", "a route", "a route of IPv6"]);
  });

  test("so much at once that news are lost, and goes on with that", async () => {
    const heard = await inOwnNetwork(`
      const rule = "add rule ip big c ip saddr 1.2.3.4 counter accept\\n";
      const big = "add table ip big\\nadd chain ip big c\\n" + rule.repeat(5000);
      writeFileSync("/dev/shm/kernel-bell.nft", big);
      const before = sockets();
      for (let i = 0; i < 5; i++) sh("nft -f /dev/shm/kernel-bell.nft && nft flush ruleset");
      sh("rm /dev/shm/kernel-bell.nft");
      await rung("a flood");
      await waitUntil("all is heard", 5000, async () => sockets() === before);
      sh("nft add table ip orchd");
      await rung("a table");
      bell.close();
      await waitUntil("both are closed", 5000, async () => sockets() === before - 4);`);
    expect(heard).toEqual(["a flood", "a table"]);
  });
});
