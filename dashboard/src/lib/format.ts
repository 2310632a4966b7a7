// Numbers and times as people read them. Pure: whoever calls says what time it is.

/** Shown where nothing is known. */
export const NOTHING = '–';

const known = (value: number | null | undefined): value is number =>
  typeof value === 'number' && Number.isFinite(value);

/** 1234567 → "1,234,567"; digits are grouped by thin spaces from 10,000 on, so that they never look like a decimal sign. */
export function count(value: number | null | undefined): string {
  if (!known(value)) return NOTHING;
  const digits = String(Math.round(value));
  if (digits.replace('-', '').length <= 4) return digits;
  return digits.replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** Three digits that matter: 0.04 → "0.04", 1.23, 12.3, 123, 1 234. */
export function number(value: number | null | undefined): string {
  if (!known(value)) return NOTHING;
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size < 0.01) return '<0.01';
  if (size < 10) return trim(value.toFixed(2));
  if (size < 100) return trim(value.toFixed(1));
  return count(value);
}

function trim(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** Frames per second in columns: one decimal, so that they stand under one another. */
export function frames(value: number | null | undefined): string {
  if (!known(value)) return NOTHING;
  return value < 100 ? value.toFixed(1) : count(value);
}

/** A rate per second, with its unit: "12.3 /s"; what is rarer than once in ten seconds is told per minute or hour. */
export function rate(value: number | null | undefined, unit = ''): string {
  if (!known(value)) return NOTHING;
  const what = unit ? ` ${unit}` : '';
  if (value > 0 && value * 60 < 1) return `${number(value * 3600)}${what}/h`;
  if (value > 0 && value < 0.1) return `${number(value * 60)}${what}/min`;
  return `${number(value)}${what}/s`;
}

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** Bytes in powers of 1000, as networks and disks are sold: "1.5 MB". */
export function bytes(value: number | null | undefined): string {
  if (!known(value)) return NOTHING;
  let unit = 0;
  let size = value;
  // 999.5 and more would be rounded up to 1000 of the smaller unit.
  while (Math.abs(size) >= 999.5 && unit < BYTE_UNITS.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(size) : number(size)} ${BYTE_UNITS[unit]}`;
}

export function byteRate(value: number | null | undefined): string {
  return known(value) ? `${bytes(value)}/s` : NOTHING;
}

/** Milliseconds: "0.4 ms", "12 ms", "1.2 s", "3 min". */
export function millis(value: number | null | undefined): string {
  if (!known(value)) return NOTHING;
  const size = Math.abs(value);
  if (size < 1000) return `${number(value)} ms`;
  if (size < 60000) return `${number(value / 1000)} s`;
  return span(value);
}

/** How long, in at most two units: "8 s", "4 min", "3 h 12 min", "5 d 2 h". Negative counts as none. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/** How long ago; "never" for a time that is not set. */
export function ago(then: number | null | undefined, now: number): string {
  if (!known(then) || then <= 0) return 'never';
  const ms = now - then;
  if (ms < 1500) return 'just now';
  return `${span(ms)} ago`;
}

const two = (value: number): string => String(value).padStart(2, '0');

/** Local time of day: "14:03:09". */
export function clock(ms: number): string {
  const date = new Date(ms);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Local date and time: "2026-03-02 14:03:09", the date left out when it is today's. */
export function moment(ms: number | null | undefined, now: number): string {
  if (!known(ms) || ms <= 0) return 'never';
  const date = new Date(ms);
  const today = new Date(now);
  return date.toDateString() === today.toDateString() ? clock(ms) : `${day(date)} ${clock(ms)}`;
}

function day(date: Date): string {
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** Of nanoseconds that came as number or as text: milliseconds with fraction. */
export function nanosToMillis(value: number | string | null | undefined): number {
  if (typeof value === 'number') return value / 1e6;
  if (!value || !/^-?\d{1,19}$/.test(value)) return 0;
  return Number(BigInt(value) / 1000n) / 1000;
}

/** sha256:0123456789… shortened for tables; the whole stays in a tooltip. */
export function digest(value: string | null | undefined): string {
  if (!value) return NOTHING;
  const hex = value.startsWith('sha256:') ? value.slice(7) : value;
  return hex.length > 12 ? `${hex.slice(0, 12)}…` : hex;
}

export function percent(part: number, whole: number): string {
  if (!(whole > 0)) return NOTHING;
  if (part === 0) return '0 %';
  const value = (100 * part) / whole;
  if (value > 0 && value < 0.1) return '<0.1 %';
  if (value < 100 && value > 99.9) return '>99.9 %';
  return `${trim(value.toFixed(1))} %`;
}

/** "1 device", "2 devices". */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}
