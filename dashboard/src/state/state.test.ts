import { describe, expect, it } from 'vitest';

import { backoff, parseMessage } from '../api/stream';
import type { Device, EventRecord, Overview, StreamMessage } from '../api/types';
import { makeDevice, makeService } from '../../dev/devices.mjs';
import { Fleet } from '../../dev/fleet.mjs';
import { inSight } from '../ui/virtual';
import { EVERYTHING, health, healthCounts, isFailing, matches, sorted, tally, why } from './fleet';
import { apply, initial, live, lost, MAX_EVENTS, MAX_HISTORY, replaceAll, withGateways, without, type Touched } from './reducer';

const device = (name: string, change: Partial<Device> = {}): Device => ({
  ...makeDevice({ name, site: 'plant-1', hardware: 'jetson', now: 1000 }),
  ...change,
});

const event = (id: string, ns = '1'): EventRecord => ({ id, received_ms: Number(ns), captured_unix_ns: ns, decided_unix_ns: ns, frame: 0, width: 1, height: 1 });

const overview = (time: number): Overview => ({ ...new Fleet({ size: 3 }).overview(), time_ms: time });

const touched = (): Touched => ({ devices: new Set(), applications: new Set() });

describe('the stream', () => {
  it('takes what it knows and ignores what it does not', () => {
    const messages = [
      { type: 'hello', version: '0.2.0', role: 'viewer' },
      { type: 'device', device: device('a') },
      { type: 'device', device: device('b') },
      { type: 'removed', name: 'a' },
      { type: 'something-new', what: 1 },
    ] as StreamMessage[];
    const state = apply(initial(0), messages, 5);
    expect([...state.devices.keys()]).toEqual(['b']);
    const application = { name: 'app', applied_ms: 0, manifest: '', microservices: [] };
    const deployed = apply(state, [{ type: 'application', application }], 6);
    expect(apply(deployed, [{ type: 'removed', application: 'app' }], 7)).toMatchObject({ applications: new Map(), devices: deployed.devices });
    expect(state.version).toBe('0.2.0');
    expect(state.role).toBe('viewer');
    expect(state.lastHeard).toBe(5);
  });

  it('leaves the old state as it was', () => {
    const before = apply(initial(0), [{ type: 'device', device: device('a') }], 1);
    const after = apply(before, [{ type: 'removed', name: 'a' }], 2);
    expect(before.devices.size).toBe(1);
    expect(after.devices.size).toBe(0);
    expect(apply(before, [], 3)).toBe(before);
  });

  it('keeps each event once, the newest first, and not for ever', () => {
    const many: StreamMessage[] = Array.from({ length: MAX_EVENTS + 20 }, (_, i) => ({ type: 'event', event: event(`e${i}`) }));
    const state = apply(initial(0), [...many, { type: 'event', event: event('e7') }], 1);
    expect(state.events.length).toBe(MAX_EVENTS);
    expect(state.events[0]?.id).toBe(`e${MAX_EVENTS + 19}`);
    const again = apply(state, [{ type: 'event', event: event('e100') }], 2);
    expect(again.events.filter((each) => each.id === 'e100').length).toBe(1);
  });

  it('remembers overviews up to its limit, and tells the clocks apart', () => {
    let state = initial(0);
    const some = overview(0);
    for (let i = 0; i < MAX_HISTORY + 5; i++) state = apply(state, [{ type: 'overview', overview: { ...some, time_ms: 60000 + i } }], i);
    expect(state.history.length).toBe(MAX_HISTORY);
    expect(state.clockOffset).toBe(60000);
  });

  it('does not parse what is no message', () => {
    expect(parseMessage('{"type":"gap"}')).toEqual({ type: 'gap' });
    for (const bad of ['', '[]', '{', 'null', '{"type":3}', new ArrayBuffer(1)]) expect(parseMessage(bad)).toBeNull();
  });
});

describe('a whole fetch', () => {
  it('replaces everything, and keeps what the stream told meanwhile', () => {
    const during = touched();
    let state = apply(initial(0), [{ type: 'device', device: device('gone') }, { type: 'device', device: device('kept', { version: 'old' }) }], 1);
    state = apply(state, [{ type: 'device', device: device('new', { version: 'stream' }) }, { type: 'removed', name: 'removed' }], 2, during);
    const fetched = [device('kept', { version: 'fetched' }), device('new', { version: 'fetched' }), device('removed')];
    state = replaceAll(state, { overview: overview(10), devices: fetched, applications: [], events: [] }, during, 3);
    expect([...state.devices.keys()].sort()).toEqual(['kept', 'new']);
    expect(state.devices.get('kept')?.version).toBe('fetched');
    expect(state.devices.get('new')?.version).toBe('stream');
    expect(state.loaded).toBe(true);
    expect(state.epoch).toBe(1);
  });

  it('joins events that were fetched with those that came, by their arrival', () => {
    const state = apply(initial(0), [{ type: 'event', event: event('c', '30') }], 1);
    const joined = replaceAll(state, { overview: overview(1), devices: [], applications: [], events: [event('c', '30'), event('b', '20'), event('d', '100')] }, touched(), 2);
    expect(joined.events.map((each) => each.id)).toEqual(['d', 'c', 'b']);
  });

  it('does not put an older overview in front of a newer one', () => {
    const state = apply(initial(0), [{ type: 'overview', overview: overview(500) }], 1);
    expect(replaceAll(state, { overview: overview(400), devices: [], applications: [], events: [] }, touched(), 2).overview?.time_ms).toBe(500);
  });

  it('has the gateways of the sites, each once', () => {
    const gateway = device('gate', { role: 'gateway' });
    const site = { name: 'plant-1', gateway, devices: 1, online: 1 };
    const names = (list: Device[]): string[] => list.map((each) => each.name);
    expect(names(withGateways([device('a')], [site, { ...site, gateway: null }]))).toEqual(['a', 'gate']);
    expect(names(withGateways([device('a'), gateway], [site]))).toEqual(['a', 'gate']);
  });

  it('forgets an application that was deleted', () => {
    const application = { name: 'a', applied_ms: 0, manifest: '', microservices: [] };
    const state = apply(initial(0), [{ type: 'application', application }], 1);
    expect(without(state, 'a').applications.size).toBe(0);
    expect(without(state, 'b')).toBe(state);
  });
});

describe('the link', () => {
  it('remembers since when it is lost, over all attempts, and leaves one gap in the history', () => {
    let state = apply(live(initial(0), 1), [{ type: 'overview', overview: overview(5) }], 2);
    state = lost(state, '', 100, 10);
    state = lost(state, 'refused', 200, 20);
    expect(state.linkSince).toBe(10);
    expect(state.retryAt).toBe(200);
    expect(state.history.filter((each) => each === null).length).toBe(1);
    expect(state.lastHeard).toBe(2);
    expect(live(state, 30).link).toBe('live');
    expect(live(state, 30).linkReason).toBe('');
  });

  it('waits longer each time, within limits', () => {
    const waits = Array.from({ length: 12 }, (_, i) => backoff(i, 1));
    expect(waits[0]).toBe(500);
    expect(waits[11]).toBe(15000);
    for (let i = 1; i < waits.length; i++) expect(waits[i]).toBeGreaterThanOrEqual(waits[i - 1] ?? 0);
    expect(backoff(3, 0)).toBeLessThan(backoff(3, 1));
  });
});

describe('devices', () => {
  const failing = (): Device => {
    const bad = device('bad');
    const service = makeService(bad, { application: 'app', name: 'one', digest: 'sha256:0', version: '1', port: 1, privacy: '' }, 0);
    return { ...bad, failing: true, services: [{ ...service, state: 'failing', message: 'no camera' }] };
  };

  it('are failing only while they are heard', () => {
    expect(health(failing())).toBe('failing');
    expect(health({ ...failing(), status: 'offline' })).toBe('offline');
    expect(health(device('a', { status: 'unreachable' }))).toBe('unreachable');
    expect(health(device('a', { status: 'gone-fishing' as Device['status'] }))).toBe('never');
    expect(why(failing())).toBe('app/one no camera');
    expect(why(device('a'))).toBe('');
  });

  it('of an older control plane are judged by what they say', () => {
    const { failing: _, ...old } = failing();
    expect(isFailing(old as Device)).toBe(true);
    const { failing: __, ...troubled } = device('a', { trouble: 'disk full' });
    expect(isFailing(troubled as Device)).toBe(true);
  });

  it('are found by words, labels and states', () => {
    const find = (text: string, one: Device): boolean => matches(one, { ...EVERYTHING, text });
    expect(find('hardware=jetson', device('a'))).toBe(true);
    expect(find('jetson plant-1', device('a'))).toBe(true);
    expect(find('jetson plant-2', device('a'))).toBe(false);
    expect(find('FAILING', failing())).toBe(true);
    expect(matches(device('a'), { ...EVERYTHING, health: 'online', site: 'plant-1', version: '0.2.0', hardware: 'jetson' })).toBe(true);
    expect(matches(device('a'), { ...EVERYTHING, health: 'offline' })).toBe(false);
  });

  it('are sorted with the worst first, equal ones by name as people count', () => {
    const list = [device('pi-10'), device('pi-2'), failing(), device('x', { status: 'offline' })];
    expect(sorted(list, 'health', false).map((each) => each.name)).toEqual(['bad', 'x', 'pi-2', 'pi-10']);
    expect(sorted(list, 'name', true).map((each) => each.name)).toEqual(['x', 'pi-10', 'pi-2', 'bad']);
    expect(healthCounts(list)).toMatchObject({ failing: 1, offline: 1, online: 2 });
    expect(tally(list, (each) => each.site)).toEqual([['plant-1', 4]]);
  });
});

describe('a long list', () => {
  it('has only the rows in sight, with a margin', () => {
    expect(inSight(1000, 40, 0, 800)).toEqual({ first: 0, last: 28 });
    expect(inSight(1000, 40, 20000, 800)).toEqual({ first: 492, last: 528 });
    expect(inSight(1000, 40, 39900, 800)).toEqual({ first: 989, last: 1000 });
    expect(inSight(3, 40, 90000, 800)).toEqual({ first: 3, last: 3 });
    expect(inSight(0, 40, 0, 800)).toEqual({ first: 0, last: 0 });
  });
});
