// What can be said about devices: what is wrong, how they are grouped, found and sorted. Pure.

import type { Device, Service } from '../api/types';

/** One word for the state of a device as people ask for it; failing comes before the rest, for it is what to look at. */
export type Health = 'failing' | 'offline' | 'unreachable' | 'stale' | 'never' | 'online';

export const HEALTHS: readonly Health[] = ['failing', 'offline', 'unreachable', 'stale', 'never', 'online'];

const BAD_STATES = new Set(['failing', 'refused']);

export function isFailing(device: Device): boolean {
  return device.failing ?? (device.trouble !== '' || device.services.some((service) => BAD_STATES.has(service.state)));
}

/** A device that is not heard is shown as that, whatever it last said about itself. */
export function health(device: Device): Health {
  if (device.status === 'online' && isFailing(device)) return 'failing';
  return HEALTHS.includes(device.status) ? device.status : 'never';
}

/** Why it is not well, in one sentence; empty where it is. */
export function why(device: Device): string {
  if (device.status !== 'online') return device.status_reason;
  if (device.trouble) return device.trouble;
  const bad = device.services.find((service) => BAD_STATES.has(service.state));
  return bad ? `${bad.application}/${bad.name} ${bad.message || `is ${bad.state}`}` : '';
}

export const isBad = (service: Service): boolean => BAD_STATES.has(service.state);

export function hardware(device: Device): string {
  return device.labels['hardware'] ?? device.facts.arch ?? '';
}

export function fps(device: Device): number {
  return device.services.reduce((sum, service) => sum + (service.pipeline?.fps ?? 0), 0);
}

/** The slowest pipeline's. */
export function p99(device: Device): number {
  return device.services.reduce((most, service) => Math.max(most, service.pipeline?.p99_ms ?? 0), 0);
}

function haystack(device: Device): string {
  const labels = Object.entries(device.labels).map(([key, value]) => `${key}=${value}`);
  const services = device.services.map((service) => `${service.application}/${service.name} ${service.state}`);
  return [device.name, device.site, device.role, health(device), device.version, device.facts.arch, ...labels, ...services]
    .join('\n')
    .toLowerCase();
}

export interface Filter {
  /** Words that must all be found, anywhere: names, labels (`hardware=jetson`), services, states. */
  text: string;
  health: string;
  site: string;
  hardware: string;
  version: string;
}

export const EVERYTHING: Filter = { text: '', health: '', site: '', hardware: '', version: '' };

export function matches(device: Device, filter: Filter): boolean {
  if (filter.health && health(device) !== filter.health) return false;
  if (filter.site && device.site !== filter.site) return false;
  if (filter.hardware && hardware(device) !== filter.hardware) return false;
  if (filter.version && device.version !== filter.version) return false;
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return true;
  const text = haystack(device);
  return words.every((word) => text.includes(word));
}

export type SortKey = 'health' | 'name' | 'site' | 'hardware' | 'version' | 'fps' | 'p99' | 'seen';

const collator = new Intl.Collator('en', { numeric: true });

function compareBy(key: SortKey, a: Device, b: Device): number {
  switch (key) {
    case 'health':
      return HEALTHS.indexOf(health(a)) - HEALTHS.indexOf(health(b));
    case 'site':
      return collator.compare(a.site, b.site);
    case 'hardware':
      return collator.compare(hardware(a), hardware(b));
    case 'version':
      return collator.compare(a.version, b.version);
    case 'fps':
      return fps(a) - fps(b);
    case 'p99':
      return p99(a) - p99(b);
    case 'seen':
      return a.last_seen_ms - b.last_seen_ms;
    default:
      return 0;
  }
}

/** Equal ones by name, so that rows do not jump. */
export function sorted(devices: Iterable<Device>, key: SortKey, down: boolean): Device[] {
  const sign = down ? -1 : 1;
  return [...devices].sort(
    (a, b) => sign * compareBy(key, a, b) || (key === 'name' ? sign : 1) * collator.compare(a.name, b.name),
  );
}

/** How many there are of each, most first. */
export function tally(devices: Iterable<Device>, of: (device: Device) => string): [string, number][] {
  const counts = new Map<string, number>();
  for (const device of devices) counts.set(of(device), (counts.get(of(device)) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || collator.compare(a[0], b[0]));
}

export function healthCounts(devices: Iterable<Device>): Record<Health, number> {
  const counts: Record<Health, number> = { failing: 0, offline: 0, unreachable: 0, stale: 0, never: 0, online: 0 };
  for (const device of devices) counts[health(device)]++;
  return counts;
}

/** Everything that is no gateway. */
export function isDevice(device: Device): boolean {
  return device.role !== 'gateway';
}

export interface Running {
  device: Device;
  service: Service;
}

export function services(devices: Iterable<Device>): Running[] {
  const all: Running[] = [];
  for (const device of devices) for (const service of device.services) all.push({ device, service });
  return all;
}

/** Label or fact that somebody declared, and that the device did not find itself. */
export function isDeclared(device: Device, key: string): boolean {
  return device.declared.includes(key);
}
