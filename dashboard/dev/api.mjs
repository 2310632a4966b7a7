// @ts-check
// The routes of docs/formats/api.md over a scripted fleet. Pure: a request's parts in, an answer out.

import { deflateSync } from 'node:zlib';

/** @typedef {import('./fleet.mjs').Fleet} Fleet */
/** @typedef {{status: number, json?: unknown, body?: Buffer | string, type?: string}} Answer */
/** @typedef {{method: string, path: string[], query: URLSearchParams, body: string, role: string}} Ask */

const RANKS = ['viewer', 'operator', 'admin'];

/** @returns {Answer} */
const fail = (/** @type {number} */ status, /** @type {string} */ code, /** @type {string} */ message) => ({
  status,
  json: { error: { code, message } },
});

const ok = (/** @type {unknown} */ json) => ({ status: 200, json });

/**
 * @param {any[]} items
 * @param {URLSearchParams} query
 */
function page(items, query) {
  const limit = Math.min(1000, Number(query.get('limit') ?? 100) || 100);
  const after = Number(query.get('after') ?? 0) || 0;
  const next = after + limit < items.length ? String(after + limit) : '';
  return ok({ items: items.slice(after, after + limit), next });
}

/**
 * @param {Fleet} fleet
 * @param {URLSearchParams} query
 */
function events(fleet, query) {
  /** @param {string} key */
  const q = (key) => query.get(key) ?? '';
  const wanted = fleet.events.filter((event) => {
    const ms = event.received_ms ?? 0;
    return (
      (!q('device') || event.device === q('device')) &&
      (!q('site') || event.site === q('site')) &&
      (!q('application') || event.pipeline?.split('/')[0] === q('application')) &&
      (!q('rule') || event.decision?.rule === q('rule')) &&
      (!q('label') || event.detections?.some((detection) => detection.label === q('label'))) &&
      (!q('since') || ms >= Number(q('since'))) &&
      (!q('until') || ms < Number(q('until')))
    );
  });
  const down = q('order') === 'desc';
  if (down) wanted.reverse();
  const limit = Math.min(1000, Number(q('limit') || 100));
  const after = Number(q('after'));
  const rest = after ? wanted.filter((event) => (down ? Number(event.cursor) < after : Number(event.cursor) > after)) : wanted;
  const items = rest.slice(0, limit);
  return ok({ items, next: rest.length > limit ? items[items.length - 1]?.cursor ?? '' : '' });
}

/**
 * @param {Fleet} fleet
 * @param {string} name
 * @param {number} minutes
 */
function series(fleet, name, minutes) {
  const device = fleet.get(name);
  if (!device) return fail(404, 'NOT_FOUND', `There is no device "${name}".`);
  const step = minutes > 120 ? 60 : 5;
  const now = Date.now();
  const begin = Math.floor((now - minutes * 60000) / (step * 1000)) * step * 1000;
  const length = Math.floor((now - begin) / (step * 1000));
  const silences = fleet.silences.get(name) ?? [];
  /** @type {import('../src/api/types').Series['services']} */
  const services = {};
  for (const service of device.services) {
    const p50 = service.pipeline?.p50_ms ?? 10;
    /** @type {Record<'fps' | 'p50' | 'p99' | 'dropped', (number | null)[]>} */
    const columns = { fps: [], p50: [], p99: [], dropped: [] };
    for (let i = 0; i < length; i++) {
      const t = begin + i * step * 1000;
      const wave = Math.sin(t / 41000) * 0.4 + Math.sin(t / 7300) * 0.2;
      // Every device was away once, so that a gap can always be seen.
      const away = (i > length * 0.3 && i < length * 0.36) || silences.some(([a, b]) => t + step * 1000 > a && t < b);
      columns.fps.push(away ? null : 10 + wave * 0.3);
      columns.p50.push(away ? null : p50 + wave);
      columns.p99.push(away ? null : p50 * 1.8 + wave * 6 + (i % 37 === 0 ? p50 * 0.5 : 0));
      columns.dropped.push(away ? null : 0);
    }
    services[`${service.application}/${service.name}`] = columns;
  }
  return ok({ step_s: step, begin, services });
}

/** @param {Fleet} fleet */
function sites(fleet) {
  const all = [...fleet.devices.values()];
  const names = [...new Set(all.map((device) => device.site))].sort();
  return names.map((name) => {
    const mine = all.filter((device) => device.site === name && device.role !== 'gateway');
    return {
      name,
      gateway: all.find((device) => device.site === name && device.role === 'gateway') ?? null,
      devices: mine.length,
      online: mine.filter((device) => device.status === 'online').length,
    };
  });
}

/**
 * @param {Fleet} fleet
 * @param {string} site
 */
function aggregates(fleet, site) {
  const now = Date.now();
  return fleet
    .plain()
    .filter((device) => device.site === site)
    .slice(0, 20)
    .map((device, i) => ({
      id: `A${i}`,
      begin_unix_ns: `${now - 3600000}000000`,
      end_unix_ns: `${now}000000`,
      device: device.name,
      application: 'safety-monitor',
      counts: [
        { label: 'person', zone: 'lawn', rule: 'in and out of the lawn', count: String(31 + i) },
        { label: 'person', zone: 'gate', rule: 'loitering', count: '4', dwell_seconds: 61.5 },
      ],
      events: '35',
    }));
}

/**
 * @param {Fleet} fleet
 * @param {string} name
 * @param {string} what
 * @param {string} body
 * @returns {Answer}
 */
function command(fleet, name, what, body) {
  const device = fleet.get(name);
  if (!device) return fail(404, 'NOT_FOUND', `There is no device "${name}".`);
  if (device.status !== 'online') return fail(504, 'DEADLINE_EXCEEDED', `${name} did not answer within 10 s; it is ${device.status}.`);
  const asked = JSON.parse(body || '{}');
  const service = device.services.find((s) => s.application === asked.application && s.name === asked.service);
  if (what === 'logs') {
    const lines = Array.from({ length: Math.min(asked.lines || 200, 40) }, (_, i) => `2026-03-02T12:0${i % 10}:00Z info  pipeline: ${asked.service || 'agent'} frame ${i * 10} decided in ${8 + (i % 5)} ms`);
    return ok({ text: `${lines.join('\n')}\n` });
  }
  if (!service) return fail(404, 'NOT_FOUND', `${name} has no service "${asked.application}/${asked.service}".`);
  if (what === 'restart') {
    service.restarts++;
    service.since_ms = Date.now();
    fleet.changed(device);
    return ok({});
  }
  if (service.pipeline?.privacy === 'local-only') {
    return fail(403, 'PERMISSION_DENIED', `The privacy policy of ${asked.application}/${asked.service} keeps pictures on ${name}.`);
  }
  return { status: 200, body: picture(), type: 'image/png' };
}

/** A small test picture; a browser reads what it is from its content. */
function picture() {
  const [width, height] = [96, 72];
  const rows = Buffer.alloc((width * 3 + 1) * height);
  const shift = Math.floor(Date.now() / 1000) % width;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * (width * 3 + 1) + 1 + x * 3;
      rows.set([40 + ((x + shift) % width) * 2, 80 + y * 2, 110], at);
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

/**
 * @param {string} type
 * @param {Buffer} data
 */
function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc(body), body.length + 4);
  return out;
}

/** @param {Buffer} data */
function crc(data) {
  let c = 0xffffffff;
  for (const byte of data) {
    c ^= byte;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  }
  return (c ^ 0xffffffff) >>> 0;
}

/**
 * @param {Fleet} fleet
 * @param {Ask} ask
 * @returns {Answer}
 */
function tokens(fleet, { method, path, body, role, query }) {
  if (method === 'GET') return page(fleet.tokens, query);
  if (method === 'DELETE') {
    fleet.tokens = fleet.tokens.filter((token) => token.id !== path[1]);
    return ok({});
  }
  const asked = JSON.parse(body);
  if (asked.kind === 'user' && role !== 'admin') return fail(403, 'PERMISSION_DENIED', 'Only an admin makes tokens for users.');
  const id = `t${fleet.tokens.length + 1}`;
  const now = Date.now();
  const record = { id, kind: asked.kind, role: asked.role, site: asked.site, name: asked.name, created_ms: now, expires_ms: asked.expires_s ? now + asked.expires_s * 1000 : 0, spent_by: '', via: asked.via ?? '' };
  fleet.tokens.push(record);
  const secret = Buffer.from(JSON.stringify({ url: 'https://fleet.example:8443', ca: 'ab'.repeat(32), id, secret: 'c2VjcmV0LXNlY3JldA', role: asked.role, site: asked.site })).toString('base64url');
  return ok({ ...record, token: `slv1.${secret}` });
}

/**
 * @param {Fleet} fleet
 * @param {Ask} ask
 * @returns {Answer}
 */
export function answer(fleet, ask) {
  const { method, path, query, body, role } = ask;
  const [what = '', name = '', action = ''] = path;
  const rank = RANKS.indexOf(role);
  const write = method !== 'GET' && action !== 'logs';
  if (write && rank < 1) return fail(403, 'PERMISSION_DENIED', 'This needs the role operator; your token has viewer.');
  if (what === 'overview') return ok(fleet.overview());
  if (what === 'devices' && action === 'series') return series(fleet, name, Number(query.get('minutes') ?? 60));
  if (what === 'devices' && method === 'POST') return command(fleet, name, action, body);
  if (what === 'devices' && method === 'DELETE') {
    if (!fleet.devices.delete(name)) return fail(404, 'NOT_FOUND', `There is no device "${name}".`);
    fleet.emit('message', { type: 'removed', name });
    return ok({});
  }
  if (what === 'devices' && !name) return page(fleet.plain(), query);
  if (what === 'devices') return fleet.get(name) ? ok(fleet.get(name)) : fail(404, 'NOT_FOUND', `There is no device "${name}".`);
  if (what === 'sites') return page(sites(fleet), query);
  if (what === 'applications' && method === 'POST') {
    const result = fleet.apply(body, query.get('dry_run') === 'true');
    return 'error' in result ? fail(400, 'INVALID_ARGUMENT', result.error) : ok(result);
  }
  if (what === 'applications' && method === 'DELETE') return fleet.remove(name) ? ok({}) : fail(404, 'NOT_FOUND', `There is no application "${name}".`);
  if (what === 'applications') return page([...fleet.applications.values()], query);
  if (what === 'events') return events(fleet, query);
  if (what === 'aggregates') return page(aggregates(fleet, query.get('site') ?? ''), query);
  if (what === 'packages') {
    const tags = [{ tag: '1.0', digest: fleet.packageDigest, size: 14200000, variants: ['fp32', 'fp16', 'int8'], pushed_ms: fleet.started - 7200000 }];
    return page(fleet.size && fleet.devices.size ? [{ name: 'safety/person-detector', tags }] : [], query);
  }
  if (what === 'tokens') return tokens(fleet, ask);
  return fail(404, 'NOT_FOUND', `There is no ${path.join('/')}.`);
}
