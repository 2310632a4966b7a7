// An event in words. Pure.

import type { EventRecord } from '../api/types';
import { nanosToMillis } from '../lib/format';
import { href } from '../lib/router';

const VERBS: Record<string, string> = {
  start: 'began',
  end: 'ended',
  enter: 'entered',
  leave: 'left',
  cross: 'crossed',
  repeat: 'goes on',
};

/** "over the kerb: crossed, a to b"; a record without a decision is a frame. */
export function eventTitle(event: EventRecord): string {
  const decision = event.decision;
  if (!decision) return `frame ${event.frame}`;
  const verb = VERBS[decision.state] ?? decision.state;
  const direction = decision.direction ? `, ${decision.direction.replace(/-/g, ' ')}` : '';
  return `${decision.rule}: ${verb}${direction}`;
}

const YEAR_2020 = 1577836800000;

/**
 * When the picture was taken, by the device's clock; when that cannot be (it lies after the arrival, or the device
 * booted without a clock), the time of arrival, and `doubtful`.
 */
export function eventTime(event: EventRecord): { ms: number; doubtful: boolean } {
  const captured = nanosToMillis(event.captured_unix_ns);
  const received = event.received_ms ?? 0;
  const doubtful = received > 0 && (captured > received + 60000 || captured < YEAR_2020);
  return { ms: doubtful ? received : captured, doubtful };
}

/** The address of an event's page. The device is named too: it makes the event easy to find again. */
export function eventHref(event: EventRecord): string {
  return href(['events', event.id], { device: event.device });
}

/** "3 × person, 1 × bicycle", most first. */
export function seen(event: EventRecord): string {
  const counts = new Map<string, number>();
  for (const detection of event.detections ?? []) counts.set(detection.label, (counts.get(detection.label) ?? 0) + 1);
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([label, count]) => `${count} × ${label}`)
    .join(', ');
}

/** What was compared with what, in the unit of the rule's kind (docs/formats/rules.md). */
export function comparison(event: EventRecord): string {
  const decision = event.decision;
  if (!decision) return '';
  const seconds = decision.kind === 'dwell' || (decision.kind === 'presence' && decision.state === 'end');
  const unit = seconds ? ' s' : '';
  const text = (value: number): string => `${Number(value.toFixed(seconds ? 1 : 3))}${unit}`;
  return `${text(decision.value)}, threshold ${text(decision.threshold)}`;
}

/** The stages' times in order, microseconds; what they leave of the total is the rest. */
export function stages(event: EventRecord): { parts: { key: string; us: number }[]; total: number } {
  const order = ['queue_us', 'preprocess_us', 'infer_us', 'decode_us', 'order_us', 'track_us', 'decide_us'];
  const times = event.times ?? {};
  const parts = order
    .filter((key) => times[key] !== undefined)
    .map((key) => ({ key: key.replace(/_us$/, ''), us: Number(times[key]) }));
  const sum = parts.reduce((total, part) => total + part.us, 0);
  const total = Math.max(sum, Number(times['total_us'] ?? 0));
  if (total > sum) parts.push({ key: 'other', us: total - sum });
  return { parts: parts.filter((part) => part.us > 0), total };
}

export interface EventFilter {
  device: string;
  site: string;
  application: string;
  rule: string;
  label: string;
  /** Unix milliseconds; 0: open. */
  since: number;
  until: number;
}

/** Whether an event of the stream belongs into a filtered list; the same as the control plane's query. */
export function fits(event: EventRecord, filter: EventFilter): boolean {
  if (filter.device && event.device !== filter.device) return false;
  if (filter.site && event.site !== filter.site) return false;
  if (filter.application && application(event) !== filter.application) return false;
  if (filter.rule && event.decision?.rule !== filter.rule) return false;
  if (filter.label && !(event.detections ?? []).some((detection) => detection.label === filter.label)) return false;
  // As the control plane does: by arrival, for a device's clock may be wrong.
  const received = event.received_ms ?? nanosToMillis(event.captured_unix_ns);
  if (filter.since && received < filter.since) return false;
  if (filter.until && received >= filter.until) return false;
  return true;
}

/** `pipeline` is "application/service" for what a fleet runs. */
export function application(event: EventRecord): string {
  return (event.pipeline ?? '').split('/')[0] ?? '';
}
