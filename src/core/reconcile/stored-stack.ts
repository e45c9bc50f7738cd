import { sortedBy } from "../../lib/order.ts";
import type { Grant, StackItem } from "../../model/item.ts";
import { itemKeyOf } from "../../model/item.ts";
import type { IngressFile } from "../../model/ingress-rule.ts";
import { specOf, type ServiceSpec } from "../../model/service.ts";
import type { Stack, StackSpec } from "../../model/stack.ts";
import type { View } from "../../model/view.ts";

/**
 * What a stack is now, as `up` would ask for it in another cluster: its services, volumes, secrets
 * and configs, without anything that only this cluster knows.
 */
export function storedStackSpec(view: View, stack: Stack): StackSpec {
  const services = view.servicesOf(stack.name).filter(({ removing }) => !removing);
  const specs = sortedBy(services, ({ name }) => name).map((service): [string, ServiceSpec] => {
    return [service.name, withoutContents(specOf(service))];
  });
  const items = new Map<string, StackItem>();
  for (const id of stack.items ?? []) {
    const item = view.items.get(id);
    if (item === undefined) continue;
    const { kind, name, labels, isTemplate } = item;
    items.set(itemKeyOf(kind, name), { kind, name, external: false, labels, isTemplate });
  }
  for (const [, spec] of specs) {
    for (const { kind, name } of sharesOf(spec)) {
      const key = itemKeyOf(kind, name);
      if (items.has(key)) continue;
      items.set(key, { kind, name, external: true, labels: {}, isTemplate: false });
    }
  }
  return {
    services: Object.fromEntries(specs),
    volumes: [...stack.volumes],
    ...(items.size === 0
      ? {}
      : { items: sortedBy(items.values(), (i) => itemKeyOf(i.kind, i.name)) }),
  };
}

function sharesOf({ container, ingress = [] }: ServiceSpec): (Grant | IngressFile)[] {
  const files = ingress.flatMap(({ files }) => (files ? [files.certificate, files.key] : []));
  return [...(container.grants ?? []), ...files];
}

function withoutContents(spec: ServiceSpec): ServiceSpec {
  const { container, ingress } = spec;
  const grants = container.grants?.map((grant): Grant => {
    const { content: _, isTemplate: __, ...rest } = grant;
    return rest;
  });
  const fileOf = ({ kind, name }: IngressFile): IngressFile => ({ kind, name });
  const rules = ingress?.map((rule) => {
    if (rule.files === undefined) return rule;
    const { certificate, key } = rule.files;
    return { ...rule, files: { certificate: fileOf(certificate), key: fileOf(key) } };
  });
  return {
    ...spec,
    container: { ...container, ...(grants === undefined ? {} : { grants }) },
    ...(rules === undefined ? {} : { ingress: rules }),
    restarts: 0,
  };
}
