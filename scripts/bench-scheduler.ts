import { formatFigures, reaches } from "./bench/figure.ts";
import { benchScheduler } from "./bench/scheduler.ts";

/*
 * `npm run bench:scheduler` measures how fast the scheduler decides, on the shapes of swarmkit's
 * own benchmark and beyond. It needs nothing but this machine's processor.
 */
const figures = await benchScheduler();
console.log(formatFigures(figures));
process.exitCode = figures.some((figure) => reaches(figure) === false) ? 1 : 0;
