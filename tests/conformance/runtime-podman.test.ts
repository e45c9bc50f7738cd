import { test } from "bun:test";
import { makePodmanLab, whyNoPodman } from "./runtime-podman-lab.ts";
import { runtimeConformance } from "./runtime.ts";

const reason = whyNoPodman();

if (reason === undefined) {
  runtimeConformance("podman", () => makePodmanLab("orchdt0", "10.213.0"));
} else {
  console.error(`\n*** The runtime conformance suite is SKIPPED for Podman: ${reason}.\n`);
  test.skip(`the podman runtime (skipped: ${reason})`, () => {});
}
