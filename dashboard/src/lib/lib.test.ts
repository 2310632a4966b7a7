import { describe, expect, it } from 'vitest';

import type { EventRecord, Series } from '../api/types';
import { toCsv, toJsonLines } from './export';
import { parts, sum } from './ledger';
import { manifestErrors } from './manifest_error';
import { href, inside, parse, takeToken } from './router';
import { columns, gaps, last, silences, summary } from './series';

describe('ledger', () => {
  it('has parts that add up to what came in', () => {
    const bar = parts({ in: 100, local: 90, cloud: 2, stored: 0, dropped: { overload: 5, stale: 1 } });
    expect(bar.parts.reduce((total, part) => total + part.value, 0)).toBe(100);
    expect(bar.parts.map((part) => part.key)).toEqual(['local', 'cloud', 'dropped-overload', 'dropped-stale', 'missing']);
    expect(bar.over).toBe(0);
  });

  it('says when there is more out than in', () => {
    const bar = parts({ in: 10, local: 12, cloud: 0, stored: 0, dropped: {} });
    expect(bar.over).toBe(2);
    expect(bar.total).toBe(12);
  });

  it('adds up several', () => {
    const one = { in: 3, local: 2, cloud: 0, stored: 0, dropped: { stale: 1 } };
    expect(sum([one, one])).toEqual({ in: 6, local: 4, cloud: 0, stored: 0, dropped: { stale: 2 } });
  });
});

describe('series', () => {
  const series: Series = { step_s: 5, begin: 1000000, services: { 'app/one': { fps: [10, null, null, 9], p50: [4, null, null, 5] } } };

  it('keeps what was not heard as a gap', () => {
    const [x, fps, p99] = columns(series, 'app/one', ['fps', 'p99']);
    expect(x).toEqual([1000, 1005, 1010, 1015]);
    expect(fps).toEqual([10, null, null, 9]);
    expect(p99).toEqual([null, null, null, null]);
    expect(gaps(fps ?? [])).toEqual([[1, 2]]);
    expect(gaps([null, 1, null])).toEqual([[0, 0], [2, 2]]);
    expect(gaps([])).toEqual([]);
    expect(silences([null, null, 1, null, null, 2, null, 3, null])).toEqual([[3, 4]]);
    expect(silences([1, null, null])).toEqual([[1, 2]]);
  });

  it('knows the last value and its age', () => {
    expect(last([1, 2, null])).toEqual({ value: 2, steps: 1 });
    expect(last([null])).toBeNull();
    expect(summary([null, null])).toBeNull();
    expect(summary([1, null, 3])).toEqual({ known: 2, min: 1, max: 3, mean: 2 });
  });

  it('of an unknown service is empty', () => {
    expect(columns(series, 'app/two', ['fps'])).toEqual([[], []]);
  });
});

describe('router', () => {
  it('goes there and back', () => {
    const address = href(['devices', 'pi 1/a'], { text: 'x=y', empty: '' });
    expect(parse(address).path).toEqual(['devices', 'pi 1/a']);
    expect(parse(address).query.get('text')).toBe('x=y');
    expect(parse('').path).toEqual([]);
    expect(parse('#/%zz').path).toEqual(['%zz']);
  });

  it('takes the token out of the address', () => {
    expect(takeToken('#token=abc.def')).toEqual({ token: 'abc.def', rest: '#/' });
    expect(takeToken('#token=a%20b&/devices/pi-1')).toEqual({ token: 'a b', rest: '#/devices/pi-1' });
    expect(takeToken('#/devices?token=abc')).toBeNull();
    expect(takeToken('#token=')).toBeNull();
  });

  it('follows only addresses of the dashboard', () => {
    expect(inside('#/devices/a')).toBe('#/devices/a');
    expect(inside('javascript:alert(1)')).toBe('#/');
    expect(inside('https://elsewhere')).toBe('#/');
  });
});

describe('manifest errors', () => {
  it('finds the line in the message', () => {
    expect(manifestErrors({ message: 'edge.yaml:12: spec.kind: unknown' }, 30)).toEqual([{ line: 12, message: 'spec.kind: unknown' }]);
    expect(manifestErrors({ message: '12:3: bad' }, 30)).toEqual([{ line: 12, message: 'bad' }]);
    expect(manifestErrors({ message: 'not YAML at line 4' }, 30)[0]?.line).toBe(4);
  });

  it('takes a line of its own field, and none beyond the end', () => {
    expect(manifestErrors({ message: 'wrong', line: 7 }, 30)).toEqual([{ line: 7, message: 'wrong' }]);
    expect(manifestErrors({ message: 'a.yaml:99: wrong' }, 5)[0]?.line).toBe(5);
    expect(manifestErrors({ message: 'no such model' }, 5)).toEqual([{ line: 0, message: 'no such model' }]);
  });

  it('shows several', () => {
    expect(manifestErrors({ message: 'a.yaml:1: x\na.yaml:2: y' }, 5).map((error) => error.line)).toEqual([1, 2]);
  });
});

describe('export', () => {
  const event: EventRecord = {
    id: '01HF7YAT00QFM7QZJ4C3CVTT2N',
    device: '=cmd()',
    captured_unix_ns: '1700000000123000000',
    decided_unix_ns: '1700000000150000000',
    frame: 41,
    width: 768,
    height: 576,
    detections: [
      { label: 'person', class_id: 0, score: 0.9, box: { x1: 0, y1: 0, x2: 1, y2: 1 }, track: 3 },
      { label: 'person', class_id: 0, score: 0.8, box: { x1: 0, y1: 0, x2: 1, y2: 1 }, track: 4 },
    ],
    decision: { rule: 'a "b", c', kind: 'line', state: 'cross', value: -1, threshold: 0.5 },
  };

  it('quotes what CSV needs quoted, and disarms formulas', () => {
    const [head, row] = toCsv([event]).split('\r\n');
    expect(head?.startsWith('id,captured,received,site,device')).toBe(true);
    expect(row).toContain('"a ""b"", c"');
    expect(row).toContain("'=cmd()");
    expect(row).toContain('2023-11-14T22:13:20.123Z');
    expect(row).toContain(',-1,0.5,');
    expect(row?.split('person').length).toBe(2);
  });

  it('writes JSON lines as they came', () => {
    expect(JSON.parse(toJsonLines([event]).trim())).toEqual(event);
    expect(toJsonLines([event, event]).split('\n').length).toBe(3);
  });
});
