// What the dashboard knows, and how messages of the stream change it. Pure.

import type { Application, Device, EventRecord, Overview, Site, StreamMessage } from '../api/types';
import { nanosToMillis } from '../lib/format';

/** Events of the stream that are kept; older ones are asked for page by page. */
export const MAX_EVENTS = 500;
/** Overviews that are kept for the curves of the cloud's page, one a second at most. */
export const MAX_HISTORY = 900;

/**
 * connecting: nothing was shown yet. live: the stream is open and what is shown is complete.
 * lost: what is shown is of `lastHeard`.
 */
export type Link = 'connecting' | 'live' | 'lost';

export interface State {
  link: Link;
  /** Local clock, when `link` took its value. */
  linkSince: number;
  /** Why the link was lost, for people. */
  linkReason: string;
  /** Local clock, when the next attempt starts; 0 while one is under way. */
  retryAt: number;
  /** Local clock, when the control plane was last heard. */
  lastHeard: number;
  /** The control plane's clock minus ours, milliseconds. */
  clockOffset: number;
  version: string;
  /** Of our token; empty where the control plane does not say. */
  role: string;
  overview: Overview | null;
  devices: ReadonlyMap<string, Device>;
  applications: ReadonlyMap<string, Application>;
  /** Newest first: those of the stream, and the last ones before it. */
  events: readonly EventRecord[];
  /** null marks a stretch of which nothing is known. */
  history: readonly (Overview | null)[];
  /** The lists were fetched at least once. */
  loaded: boolean;
  /** Rises whenever everything was fetched anew: pages that hold lists of their own fetch them again. */
  epoch: number;
}

export function initial(now: number): State {
  return {
    link: 'connecting',
    linkSince: now,
    linkReason: '',
    retryAt: 0,
    lastHeard: 0,
    clockOffset: 0,
    version: '',
    role: '',
    overview: null,
    devices: new Map(),
    applications: new Map(),
    events: [],
    history: [],
    loaded: false,
    epoch: 0,
  };
}

/** Names of what the stream told of since a fetch began: newer than what the fetch will bring. */
export interface Touched {
  devices: Set<string>;
  applications: Set<string>;
}

/** Applies messages in order. `gap` is the caller's business: it must fetch anew. */
export function apply(state: State, messages: readonly StreamMessage[], now: number, touched?: Touched): State {
  if (!messages.length) return state;
  const next: State = { ...state, lastHeard: now };
  let devices: Map<string, Device> | null = null;
  let applications: Map<string, Application> | null = null;
  const events: EventRecord[] = [];
  for (const message of messages) {
    switch (message.type) {
      case 'hello':
        next.version = message.version ?? '';
        next.role = message.role ?? '';
        break;
      case 'overview':
        takeOverview(next, message.overview, now);
        break;
      case 'device':
        devices ??= new Map(state.devices);
        devices.set(message.device.name, message.device);
        touched?.devices.add(message.device.name);
        break;
      case 'removed':
        if (message.name !== undefined) {
          devices ??= new Map(state.devices);
          devices.delete(message.name);
          touched?.devices.add(message.name);
        }
        if (message.application !== undefined) {
          applications ??= new Map(state.applications);
          applications.delete(message.application);
          touched?.applications.add(message.application);
        }
        break;
      case 'application':
        applications ??= new Map(state.applications);
        applications.set(message.application.name, message.application);
        touched?.applications.add(message.application.name);
        break;
      case 'event':
        events.push(message.event);
        break;
      default:
        break; // Of a newer control plane.
    }
  }
  if (devices) next.devices = devices;
  if (applications) next.applications = applications;
  if (events.length) next.events = addEvents(state.events, events);
  return next;
}

function takeOverview(next: State, overview: Overview, now: number): void {
  next.overview = overview;
  next.clockOffset = overview.time_ms - now;
  next.history = [...next.history, overview].slice(-MAX_HISTORY);
}

/** New ones in front, each id once (the one that is known stays), at most MAX_EVENTS. */
export function addEvents(known: readonly EventRecord[], added: readonly EventRecord[]): EventRecord[] {
  const ids = new Set(known.map((event) => event.id));
  const fresh: EventRecord[] = [];
  for (const event of added) {
    if (ids.has(event.id)) continue;
    ids.add(event.id);
    fresh.unshift(event);
  }
  return [...fresh, ...known].slice(0, MAX_EVENTS);
}

/** What the stream told and what was fetched, each once, the newest arrival first: a device's clock orders nothing. */
export function joinEvents(known: readonly EventRecord[], fetched: readonly EventRecord[]): EventRecord[] {
  const ids = new Set(known.map((event) => event.id));
  const at = (event: EventRecord): number => event.received_ms ?? nanosToMillis(event.captured_unix_ns);
  return [...known, ...fetched.filter((event) => !ids.has(event.id))]
    .sort((a, b) => at(b) - at(a))
    .slice(0, MAX_EVENTS);
}

/** The list of devices has no gateways; the list of sites has them, and the stream tells of both. */
export function withGateways(devices: readonly Device[], sites: readonly Site[]): Device[] {
  const names = new Set(devices.map((device) => device.name));
  const gateways = sites.flatMap((site) => (site.gateway && !names.has(site.gateway.name) ? [site.gateway] : []));
  return [...devices, ...gateways];
}

export interface Fetched {
  overview: Overview;
  devices: Device[];
  applications: Application[];
  /** The newest ones, newest first. */
  events: EventRecord[];
}

/** After a whole fetch. What the stream told of meanwhile stays as the stream has it. */
export function replaceAll(state: State, fetched: Fetched, touched: Touched, now: number): State {
  const next: State = {
    ...state,
    lastHeard: now,
    loaded: true,
    epoch: state.epoch + 1,
    devices: merge(state.devices, fetched.devices, touched.devices),
    applications: merge(state.applications, fetched.applications, touched.applications),
    events: joinEvents(state.events, fetched.events),
  };
  if (!state.overview || fetched.overview.time_ms >= state.overview.time_ms) takeOverview(next, fetched.overview, now);
  return next;
}

function merge<T extends { name: string }>(
  known: ReadonlyMap<string, T>,
  fetched: readonly T[],
  touched: ReadonlySet<string>,
): Map<string, T> {
  const merged = new Map<string, T>();
  for (const item of fetched) if (!touched.has(item.name)) merged.set(item.name, item);
  for (const name of touched) {
    const item = known.get(name);
    if (item) merged.set(name, item);
  }
  return merged;
}

export function lost(state: State, reason: string, retryAt: number, now: number): State {
  const first = state.link !== 'lost';
  return {
    ...state,
    link: 'lost',
    linkSince: first ? now : state.linkSince,
    linkReason: reason,
    retryAt,
    history: first && state.history.length ? [...state.history, null] : state.history,
  };
}

export function live(state: State, now: number): State {
  return state.link === 'live' ? state : { ...state, link: 'live', linkSince: now, linkReason: '', retryAt: 0 };
}

/** After we deleted an application, before the stream says so. */
export function without(state: State, application: string): State {
  if (!state.applications.has(application)) return state;
  const applications = new Map(state.applications);
  applications.delete(application);
  return { ...state, applications };
}
