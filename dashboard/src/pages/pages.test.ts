import { describe, expect, it } from 'vitest';

import type { EventRecord } from '../api/types';
import { Fleet } from '../../dev/fleet.mjs';
import { tallyOf } from './applications';
import { historyColumns } from './cloud';
import { comparison, eventTime, eventTitle, fits, seen, stages, type EventFilter } from './event_text';
import { ulidTime } from './event';
import { troubles } from './home';
import { runningOn, variantName } from './packages';
import { addUp } from './sites';
import { joinCommand } from './tokens';

const event: EventRecord = {
  id: '01HF7YAT00QFM7QZJ4C3CVTT2N',
  device: 'pi-1',
  site: 'plant-1',
  pipeline: 'safety-monitor/object-detector',
  captured_unix_ns: '1700000000123456789',
  decided_unix_ns: '1700000000150000000',
  frame: 41,
  width: 768,
  height: 576,
  detections: [{ label: 'person', class_id: 0, score: 0.9, box: { x1: 0, y1: 0, x2: 1, y2: 1 }, track: 3 }],
  decision: { rule: 'over the kerb', kind: 'line', state: 'cross', value: 0.875, threshold: 0.5, direction: 'a-to-b' },
  times: { queue_us: 100, infer_us: '12800', total_us: 13590 },
};

const ANY: EventFilter = { device: '', site: '', application: '', rule: '', label: '', since: 0, until: 0 };

describe('an event', () => {
  it('reads as a sentence', () => {
    expect(eventTitle(event)).toBe('over the kerb: crossed, a to b');
    expect(seen(event)).toBe('1 × person');
    expect(comparison(event)).toBe('0.875, threshold 0.5');
    const { decision: _, ...record } = event;
    expect(eventTitle(record)).toBe('frame 41');
    expect(comparison({ ...event, decision: { rule: 'r', kind: 'dwell', state: 'start', value: 12.44, threshold: 10 } })).toBe('12.4 s, threshold 10 s');
  });

  it('has stages that add up to the whole', () => {
    const { parts, total } = stages(event);
    expect(total).toBe(13590);
    expect(parts.reduce((sum, part) => sum + part.us, 0)).toBe(13590);
    expect(parts[parts.length - 1]?.key).toBe('other');
  });

  it('is filtered as the control plane does', () => {
    const ms = 1700000000123;
    const yes: Partial<EventFilter>[] = [{}, { device: 'pi-1' }, { application: 'safety-monitor' }, { rule: 'over the kerb' }, { label: 'person' }, { since: ms }, { until: ms + 1 }];
    const no: Partial<EventFilter>[] = [{ device: 'pi-2' }, { site: 'x' }, { application: 'safety' }, { rule: 'kerb' }, { label: 'car' }, { since: ms + 1 }, { until: ms }];
    for (const filter of yes) expect(fits(event, { ...ANY, ...filter }), JSON.stringify(filter)).toBe(true);
    for (const filter of no) expect(fits(event, { ...ANY, ...filter }), JSON.stringify(filter)).toBe(false);
  });

  it('does not believe a clock that cannot be right', () => {
    const received_ms = 1700000000300;
    expect(eventTime({ ...event, received_ms })).toEqual({ ms: 1700000000123.456, doubtful: false });
    expect(eventTime({ ...event, received_ms, captured_unix_ns: '60000000000' })).toEqual({ ms: received_ms, doubtful: true });
    expect(eventTime({ ...event, received_ms, captured_unix_ns: '1800000000000000000' })).toEqual({ ms: received_ms, doubtful: true });
    expect(fits({ ...event, received_ms }, { ...ANY, since: received_ms, until: received_ms + 1 })).toBe(true);
  });

  it('carries its time in its id', () => {
    expect(ulidTime('01HF7YAT00QFM7QZJ4C3CVTT2N')).toBe(1700000000000);
    expect(ulidTime('not an id')).toBe(0);
  });
});

describe('what needs attention', () => {
  it('is what the control plane says, errors first', () => {
    const overview = new Fleet({ size: 3 }).overview();
    overview.trouble = [{ severity: 'warning', what: 'w', href: '#/' }, { severity: 'error', what: 'e', href: '#/' }];
    expect(troubles(overview).map((trouble) => trouble.what)).toEqual(['e', 'w']);
  });

  it('is counted where no sentence came', () => {
    const overview = new Fleet({ size: 3 }).overview();
    expect(troubles(overview)).toEqual([]);
    overview.devices.offline = 2;
    expect(troubles(overview)[0]?.what).toBe('2 devices are offline');
  });
});

describe('pages', () => {
  it('tally what became of an application', () => {
    const placement = { device: 'd', site: 's', reasons: [], message: '' };
    const list = [
      { ...placement, fits: true, state: 'running' },
      { ...placement, fits: true, state: 'downloading' },
      { ...placement, fits: true, state: 'failing' },
      { ...placement, fits: false, state: '' },
    ];
    expect(tallyOf(list)).toEqual({ fits: 3, running: 1, bad: 1, pending: 1, refused: 1 });
  });

  it('add up windows of a site', () => {
    const window = { begin_unix_ns: '1000000000', end_unix_ns: '2000000000', device: 'd', application: 'a', counts: [{ label: 'person', zone: 'lawn', count: '3' }, { label: 'person', zone: 'gate', count: 9, dwell_seconds: 2 }] };
    expect(addUp([window, { ...window, end_unix_ns: '3000000000' }])).toEqual({
      rows: [
        { label: 'person', zone: 'gate', rule: '', count: 18, dwell: 4 },
        { label: 'person', zone: 'lawn', rule: '', count: 6, dwell: 0 },
      ],
      begin: 1000,
      end: 3000,
    });
    expect(addUp([]).begin).toBe(0);
  });

  it('leave a gap where the link was lost, and never go back in time', () => {
    const one = new Fleet({ size: 3 }).overview();
    const at = (ms: number): typeof one => ({ ...one, time_ms: ms });
    const { x, uplink } = historyColumns([at(1000), at(1000), at(2000), null, at(9000), at(8000)]);
    expect(x).toEqual([1, 2, 3, 9]);
    expect(uplink[2]).toBeNull();
  });

  it('name variants however they are told, and where a digest runs', () => {
    expect(variantName('fp32')).toBe('fp32');
    expect(variantName({ variant: 'int8' })).toBe('int8');
    expect(variantName({})).toBe('variant');
    const fleet = new Fleet({ size: 3 });
    expect(runningOn(fleet.devices.values(), fleet.packageDigest)).toEqual(['jetson-1', 'pi-1', 'x86-1']);
  });

  it('give the command to paste', () => {
    expect(joinCommand('device', 'T', 'jetson')).toBe('selvedge agent --join T --label hardware=jetson');
    expect(joinCommand('gateway', 'T', 'jetson')).toBe('selvedge gateway --join T');
  });
});
