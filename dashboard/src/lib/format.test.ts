import { describe, expect, it } from 'vitest';

import * as format from './format';

describe('format', () => {
  it('shows what is not known as a dash, never as zero', () => {
    for (const nothing of [null, undefined, NaN, Infinity]) {
      expect(format.number(nothing)).toBe('–');
      expect(format.count(nothing)).toBe('–');
      expect(format.rate(nothing)).toBe('–');
      expect(format.bytes(nothing)).toBe('–');
      expect(format.millis(nothing)).toBe('–');
    }
    expect(format.number(0)).toBe('0');
  });

  it('keeps three digits that matter', () => {
    expect([0.004, 0.25, 1.234, 12.34, 99.96, 123.4].map(format.number)).toEqual(['<0.01', '0.25', '1.23', '12.3', '100', '123']);
    expect(format.count(12345678)).toBe('12\u202f345\u202f678');
    expect(format.count(1234)).toBe('1234');
  });

  it('tells rare things per minute or hour', () => {
    expect(format.rate(2.5)).toBe('2.5/s');
    expect(format.rate(0.05)).toBe('3/min');
    expect(format.rate(1 / 3600)).toBe('1/h');
    expect(format.rate(0)).toBe('0/s');
  });

  it('changes units before a number needs four digits', () => {
    expect(format.bytes(999)).toBe('999 B');
    expect(format.bytes(999.6)).toBe('1 kB');
    expect(format.bytes(999600)).toBe('1 MB');
    expect(format.bytes(14200000)).toBe('14.2 MB');
    expect(format.millis(999)).toBe('999 ms');
    expect(format.millis(1200)).toBe('1.2 s');
  });

  it('says how long ago in at most two units', () => {
    const now = 1_700_000_000_000;
    expect(format.ago(now - 800, now)).toBe('just now');
    expect(format.ago(now - 8000, now)).toBe('8 s ago');
    expect(format.ago(now - 3 * 3600000 - 12 * 60000, now)).toBe('3 h 12 min ago');
    expect(format.ago(now - 50 * 3600000, now)).toBe('2 d 2 h ago');
    expect(format.ago(0, now)).toBe('never');
    expect(format.ago(now + 5000, now)).toBe('just now');
  });

  it('reads nanoseconds of both forms', () => {
    expect(format.nanosToMillis('1700000000123456789')).toBe(1700000000123.456);
    expect(format.nanosToMillis(2e9)).toBe(2000);
    expect(format.nanosToMillis('soon')).toBe(0);
    expect(format.nanosToMillis(undefined)).toBe(0);
  });

  it('never rounds a share to all or nothing', () => {
    expect(format.percent(1, 100000)).toBe('<0.1 %');
    expect(format.percent(99999, 100000)).toBe('>99.9 %');
    expect(format.percent(1, 1)).toBe('100 %');
    expect(format.percent(0, 5)).toBe('0 %');
    expect(format.percent(1, 0)).toBe('–');
  });
});
