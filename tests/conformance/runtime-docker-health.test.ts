import { describe } from "bun:test";
import { CANNOT } from "./runtime-cannot.ts";
import { hasDocker, makeDockerLab } from "./runtime-docker-lab.ts";
import { healthConformance } from "./runtime-health.ts";

const SUITE = "what Docker's driver does for health checks";

describe(SUITE, () => {
  if (!hasDocker(SUITE)) return;
  healthConformance(
    "docker",
    async () => {
      const lab = await makeDockerLab("orchdt14", "10.213.14");
      const ownHealthcheck = async (taskId: Parameters<typeof lab.crash>[0]) => {
        const id = (await lab.runtime.inspect(taskId))?.containerId ?? "";
        return lab.call("GET", `/containers/${id}/json`);
      };
      return { ...lab, ownHealthcheck, monitor: "containerd-shim-runc-v2" };
    },
    CANNOT.docker,
  );
});
