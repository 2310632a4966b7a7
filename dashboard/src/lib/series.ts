// Series of the control plane as columns for uPlot. Where nothing was heard the value is null, and the curve has a gap.

import type { Series } from '../api/types';

export type Column = (number | null)[];

/** Seconds for the x axis, then one column for each key; a key that the service lacks is all gaps. */
export function columns(series: Series, service: string, keys: string[]): [number[], ...Column[]] {
  const values = series.services[service] ?? {};
  const length = Math.max(0, ...Object.values(values).map((column) => column.length));
  const x = Array.from({ length }, (_, i) => series.begin / 1000 + i * series.step_s);
  return [x, ...keys.map((key) => x.map((_, i) => finite(values[key]?.[i])))];
}

function finite(value: number | null | undefined): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** The last value that is known, and how many steps ago it was. */
export function last(column: Column): { value: number; steps: number } | null {
  for (let i = column.length - 1; i >= 0; i--) {
    const value = column[i];
    if (typeof value === 'number') return { value, steps: column.length - 1 - i };
  }
  return null;
}

/** Stretches of nulls as [first, last] indices: what the text under a curve tells of. */
export function gaps(column: Column): [number, number][] {
  const found: [number, number][] = [];
  let begin = -1;
  column.forEach((value, i) => {
    if (value === null && begin < 0) begin = i;
    if (value !== null && begin >= 0) {
      found.push([begin, i - 1]);
      begin = -1;
    }
  });
  if (begin >= 0) found.push([begin, column.length - 1]);
  return found;
}

/** Gaps between what was heard: what lies before the first value is no gap, nor is a single step, which may be under way. */
export function silences(column: Column): [number, number][] {
  return gaps(column).filter(([first, last]) => first > 0 && last > first);
}

export interface Summary {
  known: number;
  min: number;
  max: number;
  mean: number;
}

export function summary(column: Column): Summary | null {
  const values = column.filter((value): value is number => value !== null);
  if (!values.length) return null;
  return {
    known: values.length,
    min: Math.min(...values),
    max: Math.max(...values),
    mean: values.reduce((a, b) => a + b, 0) / values.length,
  };
}
