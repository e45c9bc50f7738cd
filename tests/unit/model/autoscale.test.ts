import { expect, test } from "bun:test";
import {
  AUTOSCALE_DOWN,
  AUTOSCALE_UP,
  autoscalePolicySchema,
} from "../../../src/model/autoscale.ts";

test("replicas follow within bounds of which the lower one is not above the other", () => {
  const policy = { min: 2, max: 2, cpuPercent: 50, up: AUTOSCALE_UP, down: AUTOSCALE_DOWN };
  expect(autoscalePolicySchema.safeParse(policy).success).toBe(true);
  const { error } = autoscalePolicySchema.safeParse({ ...policy, min: 3 });
  expect(error?.issues.map(({ message }) => message)).toEqual(["min must not be above max"]);
});
