// The architecture diagram's content: which boxes and flows there are, and what each says. Pure; nothing is invented: a part that the
// fleet does not have says so, and a number that is not known is not there.

import type { Device, Ledger, Overview } from '../api/types';
import * as format from '../lib/format';
import { sum } from '../lib/ledger';
import { health, isDevice, services } from '../state/fleet';

export type BoxId =
  | 'training'
  | 'optimizer'
  | 'registry'
  | 'fallback'
  | 'cloud'
  | 'devices'
  | 'inference'
  | 'gateway';

/** absent: the fleet has no such part. idle: it is there and has nothing to do. */
export type BoxState = 'ok' | 'idle' | 'warning' | 'error' | 'absent';

export interface Box {
  id: BoxId;
  title: string;
  href: string;
  state: BoxState;
  /** The number to read first, and what it counts. */
  value: string;
  unit: string;
  /** Further lines, most important first. */
  lines: string[];
  /** In place of a mark's colour: what is wrong, in words; empty where nothing is. */
  alarm: string;
}

/** cloud: solid blue. edge: dashed green. optimise: dash-dotted orange. sync: dotted purple. */
export type FlowKind = 'cloud' | 'edge' | 'optimise' | 'sync';

export interface Flow {
  id: string;
  from: BoxId;
  to: BoxId;
  kind: FlowKind;
  label: string;
  /** "12 /s"; empty where nothing is measured on this way. */
  rate: string;
  /** 0: nothing moves; to 1: fast. */
  pace: number;
  absent: boolean;
}

export interface Diagram {
  /** Of all pipelines that devices told of. */
  ledger: Ledger;
  boxes: Record<BoxId, Box>;
  flows: Flow[];
}

/** How fast marks move for a rate: visible from small rates on, never frantic. */
export function pace(value: number, full: number): number {
  if (!(value > 0)) return 0;
  return Math.min(1, 0.15 + (0.85 * Math.log1p(value)) / Math.log1p(full));
}

type Fleet = ReadonlyMap<string, Device>;

function devicesBox(overview: Overview): Box {
  const n = overview.devices;
  const lines: string[] = n.total ? [`at ${format.plural(overview.sites.total, 'site')}`] : [];
  if (n.stale) lines.push(`${n.stale} stale`);
  if (n.unreachable) lines.push(`${n.unreachable} unreachable`);
  const never = n.total - n.online - n.stale - n.offline - n.unreachable;
  if (never > 0) lines.push(`${never} not heard yet`);
  const alarms: string[] = [];
  if (n.failing) alarms.push(`${n.failing} failing`);
  if (n.offline) alarms.push(`${n.offline} offline`);
  return {
    id: 'devices',
    title: 'Devices',
    href: '#/devices',
    state: alarms.length ? 'error' : n.stale || n.unreachable ? 'warning' : n.total ? 'ok' : 'idle',
    value: n.total ? `${format.count(n.online)} / ${format.count(n.total)}` : '0',
    unit: n.total ? 'online' : 'no device has joined yet',
    lines: lines.length ? [lines.join(' · ')] : [],
    alarm: alarms.join(', '),
  };
}

function inferenceBox(overview: Overview, fleet: Fleet): Box {
  const pipelines = services([...fleet.values()].filter(isDevice)).filter((r) => r.service.kind === 'pipeline');
  const bad = pipelines.filter((r) => r.device.status === 'online' && ['failing', 'refused'].includes(r.service.state));
  const running = pipelines.filter((r) => r.device.status === 'online' && r.service.state === 'running');
  const { p50_ms: p50, p99_ms: p99 } = overview.latency;
  const lines = [`${format.plural(running.length, 'pipeline')} running`];
  if (running.length) lines.unshift(`p50 ${format.millis(p50)}, p99 ${format.millis(p99)}`);
  return {
    id: 'inference',
    title: 'Local inference',
    href: '#/inference',
    state: bad.length ? 'error' : running.length ? 'ok' : 'idle',
    value: format.number(overview.rates.frames_per_s),
    unit: 'frames/s',
    lines,
    alarm: bad.length ? `${format.plural(bad.length, 'pipeline')} failing` : '',
  };
}

function gatewayBox(overview: Overview, fleet: Fleet): Box {
  const gateways = [...fleet.values()].filter((device) => !isDevice(device));
  const down = gateways.filter((gateway) => gateway.status !== 'online');
  const failing = gateways.filter((gateway) => health(gateway) === 'failing');
  const waiting = gateways.reduce((sum, gateway) => sum + (gateway.outbox?.waiting ?? 0), 0);
  const lines = [`up ${format.byteRate(overview.rates.uplink_bytes_per_s)}`];
  if (waiting) lines.push(`${format.count(waiting)} events wait`);
  const box: Box = {
    id: 'gateway',
    title: gateways.length > 1 ? 'Gateways' : 'Gateway',
    href: '#/sites',
    state: gateways.length ? 'ok' : 'absent',
    value: gateways.length ? `${format.count(gateways.length - down.length)} / ${format.count(gateways.length)}` : '',
    unit: gateways.length ? 'online' : 'not set up',
    lines: gateways.length ? lines : ['devices talk to the cloud themselves'],
    alarm: '',
  };
  if (down.length) {
    const first = down[0]?.name ?? '';
    box.alarm = down.length === 1 ? `${first} is lost` : `${format.count(down.length)} lost`;
  } else if (failing.length) {
    box.alarm = `${format.plural(failing.length, 'gateway')} in trouble`;
  }
  if (box.alarm) box.state = 'error';
  return box;
}

function cloudBox(overview: Overview): Box {
  const lines = [
    `${format.count(overview.totals.events)} events kept`,
    ...(overview.totals.events ? [`here in ${format.millis(overview.latency.event_to_cloud_p99_ms)} (p99)`] : []),
  ];
  const lost = overview.totals.dropped_events;
  return {
    id: 'cloud',
    title: 'Cloud',
    href: '#/cloud',
    state: 'ok',
    value: format.count(overview.applications),
    unit: overview.applications === 1 ? 'application' : 'applications',
    lines: lost ? [...lines, `${format.count(lost)} dropped by a cap`] : lines,
    alarm: '',
  };
}

function registryBox(overview: Overview): Box {
  return {
    id: 'registry',
    title: 'Registry',
    href: '#/packages',
    state: overview.packages ? 'ok' : 'idle',
    value: format.count(overview.packages),
    unit: overview.packages === 1 ? 'package' : 'packages',
    lines: [`${format.bytes(overview.totals.registry_bytes)} served`],
    alarm: '',
  };
}

function absentBox(id: 'training' | 'optimizer', title: string, line: string): Box {
  const href = `#/parts/${id}`;
  return { id, title, href, state: 'absent', value: '', unit: 'not set up', lines: [line], alarm: '' };
}

function fallbackBox(overview: Overview): Box {
  const frames = overview.totals.fallback_frames;
  return {
    id: 'fallback',
    title: 'Fallback',
    href: '#/parts/fallback',
    state: frames ? 'ok' : 'absent',
    value: frames ? format.count(frames) : '',
    unit: frames ? 'frames answered' : 'not set up',
    lines: frames ? [] : ['devices decide every frame'],
    alarm: '',
  };
}

export function diagram(overview: Overview, fleet: Fleet): Diagram {
  const boxes: Record<BoxId, Box> = {
    training: absentBox('training', 'Training', 'models come by push'),
    optimizer: absentBox('optimizer', 'Optimizer', 'variants come with the package'),
    registry: registryBox(overview),
    fallback: fallbackBox(overview),
    cloud: cloudBox(overview),
    devices: devicesBox(overview),
    inference: inferenceBox(overview, fleet),
    gateway: gatewayBox(overview, fleet),
  };
  const ledgers = services(fleet.values()).flatMap(({ service }) => (service.pipeline ? [service.pipeline.ledger] : []));
  return { boxes, flows: flows(overview, fleet, boxes), ledger: sum(ledgers) };
}

function flows(overview: Overview, fleet: Fleet, boxes: Record<BoxId, Box>): Flow[] {
  const r = overview.rates;
  const absent = (...ids: BoxId[]): boolean => ids.some((id) => boxes[id].state === 'absent');
  const syncing = [...fleet.values()].filter((device) => !device.in_sync).length;
  const direct = boxes.gateway.state === 'absent';
  const flow = (
    id: string,
    from: BoxId,
    to: BoxId,
    kind: FlowKind,
    label: string,
    rate = '',
    speed = 0,
    gone = absent(from, to),
  ): Flow => ({ id, from, to, kind, label, rate: gone ? '' : rate, pace: gone ? 0 : speed, absent: gone });
  return [
    flow('exports', 'training', 'optimizer', 'optimise', 'exports'),
    flow('variants', 'optimizer', 'registry', 'optimise', 'variants'),
    flow('deploys', 'registry', 'devices', 'optimise', 'deploys', format.byteRate(r.registry_bytes_per_s),
      pace(r.registry_bytes_per_s, 1e7), false),
    flow('frames', 'devices', 'inference', 'edge', 'frames', format.rate(r.frames_per_s), pace(r.frames_per_s, 300), false),
    flow('detections', 'inference', 'devices', 'edge', 'detections', format.rate(r.detections_per_s),
      pace(r.detections_per_s, 1000), false),
    flow('results', 'devices', 'gateway', 'edge', 'results', format.rate(r.events_per_s), pace(r.events_per_s, 100), direct),
    flow('down', 'gateway', 'devices', 'sync', 'desired', !overview.devices.online ? '' : syncing ? `${format.count(syncing)} behind` : 'in sync',
      syncing ? 0.5 : 0, direct),
    flow('aggregates', 'gateway', 'cloud', 'cloud', direct ? 'events' : 'events, aggregates',
      format.byteRate(r.uplink_bytes_per_s), pace(r.uplink_bytes_per_s, 1e5), direct),
    flow('desired', 'cloud', 'gateway', 'sync', 'desired', format.byteRate(r.downlink_bytes_per_s),
      pace(r.downlink_bytes_per_s, 1e5), direct),
    flow('updates', 'cloud', 'registry', 'sync', 'updates'),
    flow('hard', 'devices', 'fallback', 'cloud', 'hard frames'),
    flow('returns', 'fallback', 'devices', 'cloud', 'returns'),
  ];
}

