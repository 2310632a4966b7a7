// All devices: found by typing, filtered, sorted; a table on wide screens, cards on narrow ones.

import type { VNode } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';

import type { Device } from '../api/types';
import { ago, frames, millis, NOTHING, plural } from '../lib/format';
import { href } from '../lib/router';
import {
  EVERYTHING,
  fps,
  hardware,
  health,
  healthCounts,
  HEALTHS,
  isDevice,
  matches,
  p99,
  sorted,
  tally,
  why,
  type Filter,
  type SortKey,
} from '../state/fleet';
import { useFleet, useNow } from '../state/session';
import { HealthMark, Icon } from '../ui/icons';
import { Empty, Loading, Page, Select } from '../ui/parts';
import { useNarrow } from '../ui/screen';
import { Virtual } from '../ui/virtual';

const COLUMNS: [SortKey, string, string][] = [
  ['health', 'State', ''],
  ['name', 'Device', ''],
  ['site', 'Site', ''],
  ['hardware', 'Hardware', ''],
  ['version', 'Version', ''],
  ['fps', 'Frames/s', 'right'],
  ['p99', 'p99', 'right'],
  ['seen', 'Last heard', 'right'],
];

const ROW = 44;
const CARD = 92;

function fromQuery(query: URLSearchParams): Filter {
  const filter = { ...EVERYTHING };
  for (const key of Object.keys(filter) as (keyof Filter)[]) filter[key] = query.get(key) ?? '';
  return filter;
}

function options(devices: Device[], of: (device: Device) => string, all: string): [string, string][] {
  const known = tally(devices, of).filter(([value]) => value !== '');
  return [['', all], ...known.map(([value, n]): [string, string] => [value, `${value} (${n})`])];
}

function services(device: Device): string {
  const running = device.services.filter((service) => service.state === 'running').length;
  return device.services.length ? `${running}/${device.services.length} running` : 'no service';
}

function Cells({ device, now }: { device: Device; now: number }): VNode {
  const state = health(device);
  const reason = why(device);
  const old = device.status === 'online' ? '' : 'old';
  return (
    <>
      <span role="cell" class="c-health"><HealthMark health={state} /></span>
      <span role="cell" class="c-name">
        <a href={href(['devices', device.name])}>{device.name}</a>
        {reason ? <small class="reason" title={reason}>{reason}</small> : null}
      </span>
      <span role="cell" class="c-site">{device.site}</span>
      <span role="cell" class="c-hardware">{hardware(device) || NOTHING}</span>
      <span role="cell" class="c-version num">{device.version || NOTHING}</span>
      <span role="cell" class={`c-fps num right ${old}`}>{fps(device) ? frames(fps(device)) : NOTHING}</span>
      <span role="cell" class={`c-p99 num right ${old}`}>{p99(device) ? millis(p99(device)) : NOTHING}</span>
      <span role="cell" class="c-seen num right">{ago(device.last_seen_ms, now)}</span>
    </>
  );
}

function Card({ device, now }: { device: Device; now: number }): VNode {
  const reason = why(device);
  return (
    <a class="device-card" href={href(['devices', device.name])}>
      <span class="device-card-top"><b>{device.name}</b><HealthMark health={health(device)} /></span>
      <span class="device-card-line">{[device.site, hardware(device), device.version].filter(Boolean).join(' · ')}</span>
      <span class={`device-card-line num ${reason ? 'reason' : ''}`}>
        {reason || `${services(device)} · ${frames(fps(device))} fps · ${ago(device.last_seen_ms, now)}`}
      </span>
    </a>
  );
}

function Chips({ devices, value, onChange }: { devices: Device[]; value: string; onChange: (value: string) => void }): VNode {
  const counts = healthCounts(devices);
  const chip = (key: string, n: number, content: VNode | string): VNode => (
    <button type="button" key={key} class="chip" aria-pressed={value === key} onClick={() => onChange(value === key ? '' : key)}>
      {content} <span class="num">{n}</span>
    </button>
  );
  return (
    <div class="chips" role="group" aria-label="By state">
      {chip('', devices.length, 'all')}
      {HEALTHS.filter((state) => counts[state]).map((state) => chip(state, counts[state], <HealthMark health={state} />))}
    </div>
  );
}

export function Fleet({ query }: { query: URLSearchParams }): VNode {
  const all = useFleet((state) => state.devices);
  const loaded = useFleet((state) => state.loaded);
  const now = useNow(5000);
  const narrow = useNarrow();
  const [filter, setFilter] = useState<Filter>(() => fromQuery(query));
  const [sort, setSort] = useState<{ key: SortKey; down: boolean }>({ key: 'health', down: false });
  const search = useRef<HTMLInputElement>(null);
  const asked = query.toString();
  useEffect(() => setFilter(fromQuery(new URLSearchParams(asked))), [asked]);

  const devices = useMemo(() => [...all.values()].filter(isDevice), [all]);
  const shown = useMemo(
    () => sorted(devices.filter((device) => matches(device, filter)), sort.key, sort.down),
    [devices, filter, sort],
  );
  if (!loaded) return <Page title="Fleet"><Loading what="the devices" /></Page>;

  const set = (part: Partial<Filter>): void => {
    const next = { ...filter, ...part };
    setFilter(next);
    // The address tells what is shown, so that it can be passed on; no entry in the history for each letter.
    history.replaceState(null, '', href(['devices'], { ...next }));
  };
  const sortBy = (key: SortKey): void => setSort({ key, down: sort.key === key ? !sort.down : key === 'fps' || key === 'p99' });
  const filtered = Object.values(filter).some(Boolean);

  return (
    <Page title="Fleet" actions={<a class="button" href="#/tokens"><Icon name="plus" /> Join a device</a>}>
      <div class="toolbar">
        <label class="search">
          <Icon name="search" />
          <span class="hidden">Find devices</span>
          <input
            ref={search}
            type="search"
            data-search
            placeholder="Find: name, site, hardware=jetson, service…"
            value={filter.text}
            onInput={(event) => set({ text: event.currentTarget.value })}
            onKeyDown={(event) => event.key === 'Escape' && set({ text: '' })}
          />
          <kbd aria-hidden="true">/</kbd>
        </label>
        <Select label="Site" value={filter.site} options={options(devices, (d) => d.site, 'all sites')} onChange={(site) => set({ site })} />
        <Select label="Hardware" value={filter.hardware} options={options(devices, hardware, 'all hardware')} onChange={(value) => set({ hardware: value })} />
        <Select label="Version" value={filter.version} options={options(devices, (d) => d.version, 'all versions')} onChange={(version) => set({ version })} />
      </div>
      <Chips devices={devices} value={filter.health} onChange={(value) => set({ health: value })} />
      <p class="result-count" role="status">
        {filtered ? `${shown.length} of ${plural(devices.length, 'device')}` : plural(devices.length, 'device')}
        {filtered ? <button type="button" class="plain" onClick={() => set(EVERYTHING)}>Show all</button> : null}
      </p>
      {shown.length === 0 ? (
        <Empty icon="devices" title={devices.length ? 'No device matches' : 'No device has joined yet'}>
          {devices.length ? 'Change the words or the filters.' : <>Make a <a href="#/tokens">join token</a> and start <code>selvedge agent --join TOKEN</code> on a device.</>}
        </Empty>
      ) : narrow ? (
        <Virtual items={shown} rowHeight={CARD} keyOf={(d) => d.name} label="Devices" class="cards" row={(d) => <Card device={d} now={now} />} />
      ) : (
        <Virtual
          items={shown}
          rowHeight={ROW}
          keyOf={(d) => d.name}
          label="Devices"
          class="fleet-table"
          row={(d) => <Cells device={d} now={now} />}
          columns={COLUMNS.map(([key, title, side]) => (
            <span
              key={key}
              role="columnheader"
              class={`c-${key} ${side}`}
              aria-sort={sort.key === key ? (sort.down ? 'descending' : 'ascending') : 'none'}
            >
              <button type="button" class="sort" onClick={() => sortBy(key)}>
                {title}
                {sort.key === key ? <Icon name={sort.down ? 'down' : 'up'} size={14} /> : null}
              </button>
            </span>
          ))}
        />
      )}
    </Page>
  );
}

