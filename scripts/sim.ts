import { parseArgs } from "node:util";
import { BUGS } from "../tests/sim/bugs.ts";
import { runSimulation } from "../tests/sim/run.ts";
import { formatViolation } from "../tests/sim/violation.ts";

/*
 * Runs the simulation outside of the test suite:
 *   npm run sim -- --seed 7            one seed, with its trace when it fails
 *   npm run sim -- --seed 7 --trace    one seed, with its whole trace
 *   npm run sim -- --count 1000        many fresh seeds
 *   npm run sim -- --seed 7 --bug NAME one seed, with a bug put in
 */
const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    count: { type: "string", default: "1" },
    bug: { type: "string" },
    trace: { type: "boolean", default: false },
  },
});

const bug = BUGS.find(({ name }) => name === values.bug);
if (values.bug !== undefined && bug === undefined) {
  console.error(`There is no bug ${values.bug}. There are: ${BUGS.map((b) => b.name).join(", ")}`);
  process.exit(2);
}
const first = values.seed ?? String(Date.now());
const count = Number(values.count);
let failed = 0;
for (let i = 0; i < count; i++) {
  const seed = i === 0 ? first : `${first}-${i}`;
  const onLine = values.trace ? (line: string) => console.log(line) : undefined;
  const result = await runSimulation({ seed, bug, onLine });
  if (result.violation === undefined) {
    const seconds = Math.round(result.convergedAfterMs / 1000);
    if (count < 20) {
      console.log(`seed ${seed}: ${result.steps} events, healed in ${seconds} s, ${result.hash}`);
    }
    continue;
  }
  failed += 1;
  if (!values.trace && count === 1) console.log(result.trace.join("\n"));
  console.log(`seed ${seed}: ${formatViolation(result.violation)}`);
  console.log(`replay: npm run sim -- --seed ${seed}${bug ? ` --bug ${bug.name}` : ""}`);
}
console.log(`${count - failed} of ${count} runs kept every invariant`);
process.exit(failed === 0 ? 0 : 1);
