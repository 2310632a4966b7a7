// Events as CSV (RFC 4180) and as JSON lines.

import type { EventRecord } from '../api/types';
import { nanosToMillis } from './format';

const COLUMNS: [string, (event: EventRecord) => string | number][] = [
  ['id', (e) => e.id],
  ['captured', (e) => iso(nanosToMillis(e.captured_unix_ns))],
  ['received', (e) => (e.received_ms ? iso(e.received_ms) : '')],
  ['site', (e) => e.site ?? ''],
  ['device', (e) => e.device ?? ''],
  ['pipeline', (e) => e.pipeline ?? ''],
  ['source', (e) => e.source ?? ''],
  ['rule', (e) => e.decision?.rule ?? ''],
  ['kind', (e) => e.decision?.kind ?? ''],
  ['state', (e) => e.decision?.state ?? ''],
  ['zone', (e) => e.decision?.zone ?? ''],
  ['direction', (e) => e.decision?.direction ?? ''],
  ['value', (e) => e.decision?.value ?? ''],
  ['threshold', (e) => e.decision?.threshold ?? ''],
  ['track', (e) => e.decision?.track ?? ''],
  ['labels', (e) => [...new Set((e.detections ?? []).map((d) => d.label))].join(' ')],
  ['detections', (e) => e.detections?.length ?? 0],
  ['frame', (e) => e.frame],
  ['provenance', (e) => e.provenance ?? ''],
  ['model', (e) => [e.model?.name, e.model?.version].filter(Boolean).join(' ')],
  ['total_us', (e) => e.times?.['total_us'] ?? ''],
];

function iso(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? '' : date.toISOString();
}

/** A cell that a spreadsheet would take for a formula begins with a quote: names come from devices, not from us. */
function cell(value: string | number): string {
  let text = String(value);
  if (typeof value === 'string' && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

export function toCsv(events: EventRecord[]): string {
  const rows = events.map((event) => COLUMNS.map(([, read]) => cell(read(event))).join(','));
  return [COLUMNS.map(([name]) => name).join(','), ...rows, ''].join('\r\n');
}

export function toJsonLines(events: EventRecord[]): string {
  return events.map((event) => `${JSON.stringify(event)}\n`).join('');
}
