import { describe } from "bun:test";
import { healthConformance } from "./runtime-health.ts";
import { hasPodman, makePodmanLab } from "./runtime-podman-lab.ts";

const SUITE = "what Podman's driver does for health checks";

describe(SUITE, () => {
  if (!hasPodman(SUITE)) return;
  healthConformance("podman", async () => {
    const lab = await makePodmanLab("orchdt4", "10.213.4");
    const ownHealthcheck = async (taskId: string) => {
      const found = await lab.podman("ps", "--quiet", "--filter", `label=orchd.task=${taskId}`);
      return lab.podman("inspect", "--format", "{{.Config.Healthcheck}}", found);
    };
    const load = (path: string) => lab.podman("load", "--quiet", "--input", path);
    return { ...lab, load, ownHealthcheck, monitor: "conmon" };
  });
});
