import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { HELLO_IMAGE } from "../../scripts/image.ts";
import { aStack, HELLO, Host } from "../../scripts/lab/host.ts";
import { LAB_RUNTIMES } from "../../scripts/lab/lab-containers.ts";

const ADDRESS = "http://127.0.0.1:8080/";
const NEW_IMAGE = "localhost/orchd-hello:2";

describe.each(LAB_RUNTIMES)("a changed file replaces what it must alone, with %s", (runtime) => {
  let host: Host;
  beforeAll(async () => {
    host = await Host.withServer(runtime);
    await host.loadImage(NEW_IMAGE);
    await host.mustUp(HELLO);
  });
  afterAll(async () => host.stop());

  test("start-first: every request during the change is answered", async () => {
    const client = startClient(host);
    await client.warmUp();
    await host.mustUp(HELLO.replace("GREETING: Hello", "GREETING: Welcome"));
    await host.waitFor("the new one answers alone", async () => {
      const answers = await Promise.all(Array.from({ length: 6 }, async () => host.get(ADDRESS)));
      return answers.every((answer) => answer?.startsWith("Welcome") === true);
    });
    const { answered, failed } = await client.stop();
    expect(failed).toEqual([]);
    expect(answered).toBeGreaterThan(20);
    expect(await host.running("hello")).toHaveLength(3);
  });

  test("other limits hold at once for the programs that run, and starts none", async () => {
    const limited = (memory: string, cpus: string) =>
      aStack("held", `deploy: {resources: {limits: {memory: ${memory}, cpus: "${cpus}"}}}`);
    await host.mustUp(limited("64m", "0.5"));
    const [before] = await host.running("held");
    await host.mustUp(limited("96m", "0.25"));
    const read = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us";
    const unified = "cat memory.max; cut -d' ' -f1 cpu.max";
    await host.waitFor("the new limits hold", async () => {
      const command = ["exec", "held/app", "--", "sh", "-c", `${read} 2>&- || { ${unified}; }`];
      const { stdout } = await host.orchd(...command);
      return stdout.trim() === `${96 * 1024 * 1024}\n25000`;
    });
    const [after] = await host.running("held");
    expect(after).toMatchObject({ id: before?.id, startedAt: before?.startedAt });
    await host.must("down", "held");
  });

  test("a new image is a new revision of every task", async () => {
    const before = await host.service("hello/web-app");
    await host.mustUp(HELLO.replace(HELLO_IMAGE, NEW_IMAGE));
    const after = await host.service("hello/web-app");
    expect(after).toMatchObject({ revision: before.revision + 1, image: NEW_IMAGE, outdated: 0 });
    const images = (await host.running("hello")).map(({ image }) => image);
    expect(images).toEqual([NEW_IMAGE, NEW_IMAGE, NEW_IMAGE]);
  });

  test("stop-first: the old task has ended before the new one starts", async () => {
    const compose = (greeting: string) =>
      aStack(
        "single",
        `environment: {GREETING: ${greeting}}\ndeploy: {update_config: {order: stop-first}}`,
      );
    await host.mustUp(compose("one"));
    const [old] = await host.running("single");
    await host.mustUp(compose("two"));
    const tasks = await host.json<{ id: string; finishedAt?: number; startedAt?: number }[]>(
      ...["ps", "single", "--all"],
    );
    const ended = tasks.find(({ id }) => id === old?.id)?.finishedAt ?? Number.NaN;
    const started = tasks.find(({ id }) => id !== old?.id)?.startedAt ?? Number.NaN;
    expect(started).toBeGreaterThanOrEqual(ended);
  });

  test("an image that is nowhere leaves the old tasks running, and up says why", async () => {
    const before = await host.containers("hello");
    const bad = HELLO.replace(HELLO_IMAGE, "localhost/not-there:9");
    const { code, stderr, stdout } = await host.up(bad, "--timeout", "5s");
    expect(code).not.toBe(0);
    expect(stdout + stderr).toContain("localhost/not-there:9");
    expect(await host.containers("hello")).toEqual(before);
    expect(await host.get(ADDRESS)).toContain(" from ");
  });

  test("the file made right again converges", async () => {
    await host.mustUp(HELLO.replace(HELLO_IMAGE, NEW_IMAGE));
    expect((await host.service("hello/web-app")).converged).toBe(true);
  });

  test("a port that is published elsewhere answers there, and no longer where it was", async () => {
    await host.mustUp(HELLO.replace("8080:8080", "8085:8080"));
    expect(await host.get("http://127.0.0.1:8085/")).toContain("from");
    expect(await host.get(ADDRESS)).toBeUndefined();
    await host.mustUp(HELLO);
    expect(await host.get(ADDRESS)).toContain("from");
  });

  test("a service that left the file stays, and goes with --prune", async () => {
    const two = `${aStack("pair", "deploy: {replicas: 1}")}  second:\n    image: ${HELLO_IMAGE}\n`;
    await host.mustUp(two);
    const one = aStack("pair", "deploy: {replicas: 1}");
    const kept = await host.up(one);
    expect(kept.stdout + kept.stderr).toContain("second");
    expect(await host.running("pair")).toHaveLength(2);
    await host.mustUp(one, "--prune");
    await host.waitFor("one is left", async () => (await host.running("pair")).length === 1);
  });

  test("a volume outlives its stack unless it is named to go", async () => {
    const withVolume = `${aStack("keeper", "volumes: ['data:/data']")}volumes: {data: {}}\n`;
    await host.mustUp(withVolume);
    const [task] = await host.running("keeper");
    await host.must("exec", task?.name ?? "", "--", "sh", "-c", "echo kept > /data/file");
    await host.must("down", "keeper");
    await host.mustUp(withVolume);
    const [again] = await host.running("keeper");
    expect(await host.must("exec", again?.name ?? "", "--", "cat", "/data/file")).toBe("kept\n");
    await host.must("down", "keeper", "--volumes");
    await host.waitFor("the volume is gone", async () => {
      return !(await host.runtime.volumes()).includes("keeper_data");
    });
  });
});

/** Asks again and again, one request after the other, and remembers what was not answered. */
function startClient(host: Host) {
  const failed: string[] = [];
  let answered = 0;
  const end = new AbortController();
  const loop = (async () => {
    while (!end.signal.aborted) {
      const at = new Date().toISOString();
      const answer = await host.get(ADDRESS);
      if (answer === undefined) failed.push(at);
      else answered++;
    }
  })();
  return {
    warmUp: async () => host.waitFor("the client has had answers", () => answered > 5),
    stop: async () => {
      end.abort();
      await loop;
      return { answered, failed };
    },
  };
}
