import { Option } from "commander";
import { GOSSIP_PRESETS } from "../model/gossip-preset.ts";
import { parsePort, usageError } from "./context.ts";

/** Where memberlist, serf and Consul gossip too. */
const GOSSIP_PORT = 7946;

/** What `ingressPortOptions` make of a command line. */
export interface IngressPortFlags {
  ingressHttp: number;
  ingressHttps: number;
}

export function gossipPortOption(): Option {
  return new Option("--gossip-port <port>", "where nodes tell each other that they are alive")
    .default(GOSSIP_PORT)
    .argParser(parsePort);
}

export function gossipPresetOption(): Option {
  const about = "how soon a silent node counts as gone, the same on all machines";
  return new Option("--gossip-preset <name>", `${about} (default: orchd)`).choices(GOSSIP_PRESETS);
}

export function ingressPortOptions(): Option[] {
  const where = "where requests for services are taken";
  const parse = (text: string) => (text === "off" ? 0 : parsePort(text));
  return [
    new Option("--ingress-http <port>", `${where} over HTTP, or off`).default(80).argParser(parse),
    new Option("--ingress-https <port>", `${where} over HTTPS, or off`)
      .default(443)
      .argParser(parse),
  ];
}

/** 0 where a port is off. */
export function ingressPortsFrom(flags: IngressPortFlags): { http: number; https: number } {
  const { ingressHttp: http, ingressHttps: https } = flags;
  if (http === https && http > 0) {
    throw usageError("--ingress-http and --ingress-https can't be the same port");
  }
  return { http, https };
}
