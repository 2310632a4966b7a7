// @ts-check
// As much of docs/formats/application.md as the fake needs: it reads the lines, it is no YAML parser.

/** @typedef {import('../src/api/types').Device} Device */
/** @typedef {import('../src/api/types').Microservice} Microservice */
/** @typedef {{key: string, operator: string, value: string, line: number}} Constraint */

const OPERATORS = ['==', '!=', 'in', 'notin', 'exists', 'notexists', '<', '<=', '>', '>='];
const KEYS = [
  'apiVersion', 'kind', 'metadata', 'name', 'spec', 'microservices', 'images', 'config', 'resources', 'ports', 'volumes',
  'placements', 'type', 'key', 'operator', 'value', 'env', 'external', 'internal', 'host', 'container', 'x86', 'arm64', 'arm', 'any',
  'gpu', 'tpu', 'memory', 'cpus', 'model_path', 'confidence_threshold', 'camera', 'readOnly',
];

/**
 * @param {string} text
 * @returns {{error: string} | {name: string, services: {name: string, images: Record<string, string>, gpu: number}[], constraints: Constraint[]}}
 */
export function read(text) {
  const services = /** @type {{name: string, images: Record<string, string>, gpu: number}[]} */ ([]);
  const constraints = /** @type {Constraint[]} */ ([]);
  let name = '';
  let within = '';
  for (const [i, raw] of text.split('\n').entries()) {
    const line = i + 1;
    const match = /^(\s*)(- )?([A-Za-z0-9_]+):\s*(.*)$/.exec(raw.replace(/\s+#.*$/, ''));
    if (!match) continue;
    const [, , dash, key = '', rest = ''] = match;
    const value = rest.trim().replace(/^["']|["']$/g, '');
    if (!KEYS.includes(key)) return { error: `manifest.yaml:${line}: ${key}: unknown key; did you mean "${nearest(key, KEYS)}"?` };
    if (key === 'kind' && value !== 'Application') return { error: `manifest.yaml:${line}: kind: "${value}" is not known; it must be "Application"` };
    if (['microservices', 'placements', 'images'].includes(key)) within = key;
    if (key === 'name' && !services.length && within === '') name = value;
    else if (key === 'name' && dash) services.push({ name: value, images: {}, gpu: 0 });
    const last = services[services.length - 1];
    if (last && ['x86', 'arm64', 'arm', 'any'].includes(key)) last.images[key] = value;
    if (last && key === 'gpu') last.gpu = Number(value);
    if (key === 'resources' && last) last.gpu = Number(/gpu:\s*(\d+)/.exec(value)?.[1] ?? 0);
    if (within !== 'placements') continue;
    if (dash && key === 'type') constraints.push({ key: '', operator: '', value: '', line });
    const constraint = constraints[constraints.length - 1];
    if (constraint && (key === 'key' || key === 'operator' || key === 'value')) constraint[key] = value;
    if (key === 'operator' && !OPERATORS.includes(value)) {
      return { error: `manifest.yaml:${line}: spec.placements.operator: unknown operator "${value}"; did you mean "=="?` };
    }
  }
  if (!name) return { error: 'manifest.yaml:1: metadata.name: is missing' };
  if (!services.length) return { error: `manifest.yaml:${text.split('\n').length}: spec.microservices: is missing` };
  return { name, services, constraints };
}

/**
 * @param {string} word
 * @param {string[]} known
 */
function nearest(word, known) {
  /** @param {string} a */
  const same = (a) => [...a].filter((letter) => word.includes(letter)).length - Math.abs(a.length - word.length);
  return [...known].sort((a, b) => same(b) - same(a))[0];
}

/**
 * @param {Device} device
 * @param {Constraint[]} constraints
 * @returns {string[]}
 */
export function reasons(device, constraints) {
  const facts = /** @type {Record<string, unknown>} */ ({ ...device.facts, name: device.name, site: device.site, ...device.labels });
  const found = [];
  for (const { key, operator, value } of constraints) {
    const has = facts[key];
    const there = has !== undefined && has !== 0 && has !== '0' && has !== false;
    if (operator === '==' && String(has) !== value) found.push(`${key} is ${there ? has : 'not there'}, must be ${value}`);
    if (operator === '!=' && String(has) === value) found.push(`${key} is ${has}, must be another`);
    if (operator === 'exists' && !there) found.push(`${key} is not there`);
    if (operator === 'notexists' && there) found.push(`${key} is there and must not be`);
    if (operator === '>=' && !(Number(has) >= Number(value))) found.push(`${key} is ${has}, must be at least ${value}`);
  }
  return found;
}
