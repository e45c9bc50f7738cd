import type { Command } from "commander";
import type { ApiClient } from "../../api/client.ts";
import type { ServiceSummary } from "../../model/summary.ts";
import { newRemoteCommand, type Context } from "../context.ts";
import { showList, WATCH_FLAG, type Listing, type ListOptions } from "../list.ts";
import { formatPlaces } from "../output/ports.ts";

const columns: Listing<ServiceSummary>["columns"] = () => [
  { title: "NAME", cell: (service) => `${service.stack}/${service.name}` },
  { title: "MODE", cell: (service) => service.mode },
  {
    title: "READY",
    cell: readyOf,
    color: (service) => (service.converged ? "green" : "yellow"),
  },
  { title: "REVISION", cell: (service) => String(service.revision) },
  { title: "IMAGE", cell: (service) => service.image },
  { title: "PORTS", cell: (service) => formatPlaces(service) },
  { title: "REASON", cell: (service) => service.message },
];

export function servicesCommand(context: Context): Command {
  return newRemoteCommand({
    name: "services",
    description: "Lists services: how many of their tasks are ready, image and ports.",
    examples: ["orchd services", "orchd services shop"],
  })
    .argument("[stack]", "only services of this stack")
    .option(...WATCH_FLAG)
    .action(async (stack: string | undefined, options: ListOptions) => {
      const listing: Listing<ServiceSummary> = {
        fetch: (client) => fetchServices(client, stack),
        columns,
        empty: "There is no service: start some with `orchd up -f compose.yaml`.",
      };
      context.exitCode = await showList(context, listing, options);
    });
}

/** Tasks that are ready of those wanted; of a job those that are complete, told as such. */
function readyOf({ ready, wanted, job }: ServiceSummary): string {
  if (job === undefined) return `${ready}/${wanted}`;
  const [run] = job.runs;
  return run === undefined ? "-" : `${run.completed}/${run.wanted} done`;
}

async function fetchServices(client: ApiClient, stack: string | undefined) {
  const services = await client.services(stack);
  // A name that nothing has gets an answer that says so.
  if (services.length === 0 && stack !== undefined) await client.resolve(stack);
  return services;
}
