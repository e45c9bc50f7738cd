import type {
  MapShape,
  Property,
  Shape,
  Status,
} from "../../../../src/core/compose/properties/shape.ts";

/** What may stand at one path: JSON types, and the values of a closed list. */
export interface Allowed {
  types: Set<string>;
  values: Set<string>;
}
export type Paths = Map<string, Allowed>;

interface Schema {
  $ref?: string;
  type?: string | string[];
  enum?: string[];
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  items?: Schema;
  oneOf?: Schema[];
  definitions?: Record<string, Schema>;
}

/**
 * Every path that a JSON schema knows: `services.*.ports[].target`, where `*` stands for keys that
 * the writer of the file chooses and `[]` for the items of a list. `x-` patterns are left out.
 */
export function pathsOfSchema(root: Schema): Paths {
  const paths: Paths = new Map();
  const visit = (given: Schema, path: string): void => {
    const schema = resolve(root, given);
    note(paths, path, schema);
    for (const [key, value] of Object.entries(schema.properties ?? {}))
      visit(value, `${path}.${key}`);
    for (const [pattern, value] of Object.entries(schema.patternProperties ?? {})) {
      if (pattern !== "^x-") visit(value, `${path}.*`);
    }
    if (typeof schema.additionalProperties === "object") {
      visit(schema.additionalProperties, `${path}.*`);
    }
    if (schema.items !== undefined) visit(schema.items, `${path}[]`);
    for (const branch of schema.oneOf ?? []) visit(branch, path);
  };
  visit(root, "");
  return paths;
}

function resolve(root: Schema, schema: Schema): Schema {
  if (schema.$ref === undefined) return schema;
  const name = schema.$ref.replace("#/definitions/", "");
  const found = root.definitions?.[name];
  if (found === undefined) throw new Error(`the schema has no definition ${name}`);
  return resolve(root, found);
}

function note(paths: Paths, path: string, { type, enum: values }: Schema): void {
  const allowed = paths.get(path) ?? { types: new Set(), values: new Set() };
  for (const one of [type ?? []].flat()) allowed.types.add(one);
  for (const value of values ?? []) allowed.values.add(value);
  paths.set(path, allowed);
}

/** The same of a shape. */
export function pathsOfShape(root: Shape): Paths {
  const paths: Paths = new Map();
  visitShape(root, (shape, path) => {
    const { scalar, list, map } = shape;
    const allowed: Allowed = { types: new Set(scalar?.types), values: new Set(scalar?.values) };
    if (list !== undefined) allowed.types.add("array");
    if (map !== undefined) allowed.types.add("object");
    paths.set(path, allowed);
  });
  return paths;
}

/** Every property below a shape with the status that holds for it. */
export function statusesOf(root: Shape): Map<string, { status: Status | undefined; note: string }> {
  const statuses = new Map<string, { status: Status | undefined; note: string }>();
  const ofMap = (map: MapShape, path: string, inherited: Status | undefined): void => {
    for (const [key, property] of Object.entries(map.properties)) {
      ofProperty(property, `${path}.${key}`, inherited);
    }
    if (map.rest !== undefined) ofShape(map.rest, `${path}.*`, inherited);
  };
  const ofProperty = (property: Property, path: string, inherited: Status | undefined): void => {
    const whole = inherited === "honoured" ? undefined : inherited;
    statuses.set(path, { status: property.status ?? whole, note: property.note });
    ofShape(property.shape, path, property.status ?? whole);
  };
  const ofShape = (shape: Shape, path: string, inherited: Status | undefined): void => {
    if (shape.map !== undefined) ofMap(shape.map, path, inherited);
    if (shape.list !== undefined) ofShape(shape.list.item, `${path}[]`, inherited);
  };
  ofShape(root, "", undefined);
  return statuses;
}

function visitShape(shape: Shape, see: (shape: Shape, path: string) => void, path = ""): void {
  see(shape, path);
  for (const [key, property] of Object.entries(shape.map?.properties ?? {})) {
    visitShape(property.shape, see, `${path}.${key}`);
  }
  if (shape.map?.rest !== undefined) visitShape(shape.map.rest, see, `${path}.*`);
  if (shape.list !== undefined) visitShape(shape.list.item, see, `${path}[]`);
}
