// @ts-check
// A scripted fleet: devices that work, fail, go away and come back. Emits what the control plane's stream would say.

import { EventEmitter } from 'node:events';

import { makeDevice, makeGateway, makeService } from './devices.mjs';
import { read, reasons } from './manifest.mjs';
import { chance, digest, ulid } from './random.mjs';

/** @typedef {import('../src/api/types').Device} Device */
/** @typedef {import('../src/api/types').Application} Application */
/** @typedef {import('../src/api/types').EventRecord} EventRecord */
/** @typedef {import('../src/api/types').Overview} Overview */
/** @typedef {import('../src/api/types').TokenRecord} TokenRecord */

const MAX_EVENTS = 20000;
const HARDWARES = /** @type {const} */ (['jetson', 'raspberry-pi', 'x86']);

export const MANIFEST = `apiVersion: iofog.org/v3
kind: Application
metadata:
  name: safety-monitor
spec:
  microservices:
  - name: object-detector
    images:
      any: pipeline:safety/person-detector:1.0
    config:
      model_path: "/models/engine.trt"
      confidence_threshold: 0.7
    ports:
    - external: 5000
      internal: 5000
  placements:
  - type: constraint
    key: cameras
    operator: exists
`;

/** @type {import('../src/api/types').Decision[]} */
const RULES = [
  { rule: 'over the kerb', kind: 'line', state: 'cross', zone: 'kerb', direction: 'a-to-b', value: 0.875, threshold: 0.5 },
  { rule: 'in and out of the lawn', kind: 'zone', state: 'enter', zone: 'lawn', value: 0.81, threshold: 0.6 },
  { rule: 'loitering', kind: 'dwell', state: 'start', zone: 'gate', value: 12.4, threshold: 10 },
  { rule: 'crowd', kind: 'count', state: 'start', value: 6, threshold: 5 },
];

export class Fleet extends EventEmitter {
  /** @param {{size: number, seed?: number, empty?: boolean}} options */
  constructor({ size, seed = 7, empty = false }) {
    super();
    this.random = chance(seed);
    /** @type {Map<string, Device>} */
    this.devices = new Map();
    /** @type {Map<string, Application>} */
    this.applications = new Map();
    /** @type {EventRecord[]} */
    this.events = [];
    /** @type {TokenRecord[]} */
    this.tokens = [];
    this.packageDigest = digest(this.random);
    this.cursor = 0;
    this.size = size;
    this.base = { frames: 0, events: 0 };
    this.started = Date.now();
    /** @type {Map<string, [number, number][]>} Stretches in which a device was not heard. */
    this.silences = new Map();
    if (!empty) this.populate(size);
  }

  /** @param {number} size */
  populate(size) {
    const now = Date.now();
    if (size <= 3) {
      this.add(makeGateway('plant-1-gateway', 'plant-1', now));
      this.add(makeDevice({ name: 'jetson-1', site: 'plant-1', hardware: 'jetson', now }));
      this.add(makeDevice({ name: 'pi-1', site: 'plant-1', hardware: 'raspberry-pi', now }));
      this.add(makeDevice({ name: 'x86-1', site: 'plant-1', hardware: 'x86', now }));
    } else {
      const sites = Math.ceil(size / 50);
      for (let s = 1; s <= sites; s++) this.add(makeGateway(`site-${s}-gateway`, `site-${s}`, now));
      for (let i = 1; i <= size; i++) {
        const hardware = HARDWARES[i % 3] ?? 'x86';
        const version = i % 7 === 0 ? '0.1.0' : '0.2.0';
        this.add(makeDevice({ name: `${hardware}-${i}`, site: `site-${1 + (i % sites)}`, hardware, now, version }));
      }
    }
    this.apply(MANIFEST, false);
    for (const device of this.devices.values()) for (const service of device.services) service.state = 'running';
    this.place();
    for (let i = 0; i < 240; i++) this.event(now - (240 - i) * 15000, true);
  }

  /** @param {Device} device */
  add(device) {
    this.devices.set(device.name, device);
  }

  /** @param {string} name */
  get(name) {
    return this.devices.get(name);
  }

  plain() {
    return [...this.devices.values()].filter((device) => device.role !== 'gateway');
  }

  /** @param {Device} device */
  changed(device) {
    device.failing = device.trouble !== '' || device.services.some((s) => s.state === 'failing' || s.state === 'refused');
    this.emit('message', { type: 'device', device });
  }

  /** One second of the fleet's life. */
  tick() {
    const now = Date.now();
    let touched = 0;
    for (const device of this.devices.values()) {
      if (device.status !== 'online') continue;
      device.last_seen_ms = now;
      for (const service of device.services) this.work(service);
      // A large fleet's state comes in turns, as it would.
      if (this.size <= 3 || this.random() < 40 / this.size) {
        this.changed(device);
        touched++;
      }
    }
    if (touched && this.applications.size) for (let i = this.size <= 3 ? (this.random() < 0.6 ? 1 : 0) : 3; i > 0; i--) this.event(now, false);
    this.emit('message', { type: 'overview', overview: this.overview() });
  }

  /** @param {import('../src/api/types').Service} service */
  work(service) {
    if (service.state === 'downloading') {
      service.progress = Math.min(1, service.progress + 0.34);
      if (service.progress >= 1) Object.assign(service, { state: 'running', since_ms: Date.now() });
      this.place();
    }
    const p = service.pipeline;
    if (!p || service.state !== 'running') return;
    p.fps = 10 + (this.random() - 0.5) * 0.4;
    p.p99_ms = p.p50_ms * (1.6 + this.random() * 0.5);
    p.ledger.in += 10;
    p.ledger.local += 10;
  }

  /**
   * @param {number} ms
   * @param {boolean} quiet
   */
  event(ms, quiet) {
    const devices = this.plain().filter((device) => device.status === 'online' && device.services.some((s) => s.state === 'running'));
    const device = devices[Math.floor(this.random() * devices.length)];
    if (!device) return;
    const rule = /** @type {import('../src/api/types').Decision} */ (RULES[Math.floor(this.random() * RULES.length)]);
    const people = 1 + Math.floor(this.random() * 4);
    const infer = Math.round((device.services[0]?.pipeline?.p50_ms ?? 10) * 1000 * 0.82);
    /** @type {EventRecord} */
    const event = {
      id: ulid(ms, this.random),
      device: device.name,
      pipeline: `${device.services[0]?.application}/${device.services[0]?.name}`,
      source: 'yard',
      site: device.site,
      received_ms: ms + 140 + Math.round(this.random() * 90),
      cursor: String(++this.cursor),
      model: { name: 'person-ssdlite', version: '1.0.0', digest: this.packageDigest, variant: 'fp32', engine: 'openvino' },
      captured_unix_ns: `${ms}000000`,
      decided_unix_ns: `${ms + Math.round(infer / 1000) + 2}000000`,
      frame: this.cursor * 7,
      width: 768,
      height: 576,
      detections: Array.from({ length: people }, (_, i) => {
        const x = 40 + this.random() * 600;
        const y = 90 + this.random() * 280;
        const h = 90 + this.random() * 70;
        return { label: 'person', class_id: 0, score: 0.55 + this.random() * 0.44, box: { x1: x, y1: y, x2: x + h * 0.4, y2: y + h }, track: i + 1 };
      }),
      decision: { ...rule, track: 1 },
      provenance: 'LOCAL',
      times: { queue_us: 120, preprocess_us: 410, infer_us: infer, decode_us: 190, order_us: 0, track_us: 60, decide_us: 4, total_us: infer + 900 },
    };
    this.events.push(event);
    if (this.events.length > MAX_EVENTS) this.events.shift();
    if (!quiet) this.emit('message', { type: 'event', event });
  }

  /** @returns {Overview} */
  overview() {
    const now = Date.now();
    const devices = this.plain();
    const gateways = [...this.devices.values()].filter((device) => device.role === 'gateway');
    /** @param {string} status */
    const n = (status) => devices.filter((device) => device.status === status).length;
    const pipelines = devices.filter((d) => d.status === 'online').flatMap((d) => d.services).filter((s) => s.pipeline && s.state === 'running');
    const fps = pipelines.reduce((sum, s) => sum + (s.pipeline?.fps ?? 0), 0);
    const worst = pipelines.reduce((most, s) => Math.max(most, s.pipeline?.p99_ms ?? 0), 0);
    return {
      time_ms: now,
      devices: { total: devices.length, online: n('online'), stale: n('stale'), offline: n('offline'), unreachable: n('unreachable'), failing: devices.filter((d) => d.failing).length },
      sites: { total: new Set([...this.devices.values()].map((d) => d.site)).size, online: gateways.filter((g) => g.status === 'online').length },
      applications: this.applications.size,
      packages: this.devices.size ? 1 : 0,
      rates: { frames_per_s: fps, detections_per_s: fps * 3.4, events_per_s: fps / 42, uplink_bytes_per_s: fps * 28, downlink_bytes_per_s: fps * 1.1, registry_bytes_per_s: this.downloading() ? 4.2e6 : 0 },
      totals: { frames: Math.round((now - this.started) * fps / 1000) + 54210, events: this.cursor, events_duplicate: 0, dropped_events: 0, fallback_frames: 0, registry_bytes: this.devices.size ? 14200000 : 0 },
      latency: { p50_ms: pipelines.length ? 14 : 0, p99_ms: worst, event_to_cloud_p50_ms: 150, event_to_cloud_p99_ms: 240 },
      trouble: this.trouble(),
    };
  }

  downloading() {
    return this.plain().some((device) => device.services.some((service) => service.state === 'downloading'));
  }

  trouble() {
    const found = [];
    for (const device of this.devices.values()) {
      const href = `#/devices/${device.name}`;
      const since = new Date(device.last_seen_ms).toTimeString().slice(0, 5);
      if (device.status === 'offline') found.push({ severity: 'error', what: `${device.name} is offline since ${since}`, href });
      if (device.status === 'stale') found.push({ severity: 'warning', what: `${device.name} was last heard at ${since}`, href });
      if (device.trouble) found.push({ severity: 'error', what: `${device.name}: ${device.trouble}`, href });
      for (const s of device.services) {
        if (s.state === 'failing' || s.state === 'refused') found.push({ severity: 'error', what: `${s.application}/${s.name} on ${device.name}: ${s.message}`, href });
      }
    }
    return found;
  }

  /**
   * @param {string} manifest
   * @param {boolean} dryRun
   * @returns {{error: string} | {applied: boolean, applications: Application[]}}
   */
  apply(manifest, dryRun) {
    const parsed = read(manifest);
    if ('error' in parsed) return parsed;
    const microservices = parsed.services.map((service) => ({
      name: service.name,
      images: service.images,
      digest: this.packageDigest,
      version: '1.0',
      kind: Object.values(service.images).some((image) => image.startsWith('pipeline:')) ? 'pipeline' : 'container',
      placements: this.plain().map((device) => {
        const why = reasons(device, parsed.constraints);
        if (service.gpu > (device.facts.gpu ?? 0)) why.push(`gpu: ${device.facts.gpu ?? 0} free, ${service.gpu} needed`);
        return { device: device.name, site: device.site, fits: !why.length, reasons: why, state: '', message: '' };
      }),
    }));
    const application = { name: parsed.name, applied_ms: Date.now(), manifest, microservices };
    if (dryRun) return { applied: false, applications: [application] };
    this.applications.set(parsed.name, application);
    for (const [i, service] of microservices.entries()) {
      for (const placement of service.placements) this.deploy(placement, parsed.name, service, 5000 + i);
    }
    this.place();
    return { applied: true, applications: [application] };
  }

  /**
   * @param {import('../src/api/types').Placement} placement
   * @param {string} application
   * @param {import('../src/api/types').Microservice} service
   * @param {number} port
   */
  deploy(placement, application, service, port) {
    const device = this.devices.get(placement.device);
    if (!device) return;
    const known = device.services.some((s) => s.application === application && s.name === service.name);
    device.services = device.services.filter((s) => s.application !== application || s.name !== service.name || placement.fits);
    if (!placement.fits || known) return;
    const privacy = device.labels['hardware'] === 'x86' ? 'frames' : 'local-only';
    const made = makeService(device, { application, name: service.name, digest: service.digest, version: service.version, port, privacy }, Date.now());
    Object.assign(made, { state: 'downloading', progress: 0, since_ms: Date.now() });
    device.services.push(made);
    device.generation.desired++;
    device.generation.observed = device.generation.desired;
  }

  /** Writes what the devices say into the applications' placements. */
  place() {
    for (const application of this.applications.values()) {
      for (const service of application.microservices) {
        for (const placement of service.placements) {
          const s = this.devices.get(placement.device)?.services.find((each) => each.application === application.name && each.name === service.name);
          placement.state = placement.fits ? s?.state ?? 'waiting' : '';
          placement.message = s?.message ?? '';
        }
      }
      this.emit('message', { type: 'application', application });
    }
  }

  /** @param {string} name */
  remove(name) {
    if (!this.applications.delete(name)) return false;
    for (const device of this.plain()) device.services = device.services.filter((s) => s.application !== name);
    this.emit('message', { type: 'removed', application: name });
    return true;
  }

  /**
   * What tests do to a device: offline, online, stale, fail, heal, trouble, sync.
   * @param {string} what
   * @param {string} name
   */
  script(what, name) {
    const device = this.devices.get(name);
    if (!device) return false;
    const now = Date.now();
    if (what === 'offline' || what === 'stale') {
      Object.assign(device, { status: what, status_reason: what === 'offline' ? 'The connection broke without a farewell.' : 'Nothing was heard for 90 seconds.' });
      device.outbox.waiting = 17;
      this.silences.set(name, [...(this.silences.get(name) ?? []), [now, Infinity]]);
      if (device.role === 'gateway') this.strand(device.site, true);
    }
    if (what === 'online') {
      Object.assign(device, { status: 'online', status_reason: '', last_seen_ms: now, trouble: '' });
      device.outbox.waiting = 0;
      const open = this.silences.get(name)?.find((silence) => silence[1] === Infinity);
      if (open) open[1] = now;
      if (device.role === 'gateway') this.strand(device.site, false);
    }
    if (what === 'fail') for (const s of device.services) Object.assign(s, { state: 'failing', message: 'camera "yard" is not there: /dev/video0: No such device; started again in 8 s', restarts: s.restarts + 3, since_ms: now });
    if (what === 'heal') for (const s of device.services) Object.assign(s, { state: 'running', message: '', since_ms: now });
    if (what === 'trouble') device.trouble = 'its clock is 364 days behind; events carry the gateway’s time beside its own';
    this.place();
    this.changed(device);
    this.emit('message', { type: 'overview', overview: this.overview() });
    return true;
  }

  /**
   * @param {string} site
   * @param {boolean} lost
   */
  strand(site, lost) {
    for (const device of this.plain().filter((each) => each.site === site)) {
      Object.assign(device, lost ? { status: 'unreachable', status_reason: `The gateway of ${site} is lost.` } : { status: 'online', status_reason: '' });
      this.changed(device);
    }
  }
}
