// Frame rate and latency of a device's pipelines over time. The series is fetched, and again every five seconds while live.

import type { VNode } from 'preact';
import { useMemo, useState } from 'preact/hooks';

import { segment } from '../api/client';
import type { Device, Series } from '../api/types';
import { clock, number, span } from '../lib/format';
import { columns, silences, summary } from '../lib/series';
import { useFetched, useFleet } from '../state/session';
import { Chart } from '../ui/chart';
import { Empty, Loading, Problem, Select } from '../ui/parts';

const WINDOWS: [string, string][] = [
  ['15', '15 minutes'],
  ['60', '1 hour'],
  ['360', '6 hours'],
  ['1440', '1 day'],
];

const axis = (value: number | null): string => (value === null ? '' : number(value));

function ServiceCurves({ series, name, grey }: { series: Series; name: string; grey: boolean }): VNode {
  const [x, fps, p50, p99, dropped] = useMemo(
    () => columns(series, name, ['fps', 'p50', 'p99', 'dropped']),
    [series, name],
  );
  const silent = silences(fps ?? []).reduce((sum, [first, end]) => sum + end - first + 1, 0) * series.step_s * 1000;
  const since = (fps ?? []).findIndex((value) => value !== null);
  const rate = summary(fps ?? []);
  const drops = summary(dropped ?? []);
  return (
    <div class="curves">
      <Chart
        title="Frames per second"
        unit=" fps"
        x={x}
        curves={[{ label: 'frames', color: '--green' }, ...(drops?.max ? [{ label: 'dropped', color: '--orange', dash: [4, 3] }] : [])]}
        values={[fps ?? [], ...(drops?.max ? [dropped ?? []] : [])]}
        format={axis}
        grey={grey}
        sync={name}
      />
      <Chart
        title="Latency, capture to decision"
        unit=" ms"
        x={x}
        curves={[{ label: 'p50', color: '--blue' }, { label: 'p99', color: '--purple', dash: [6, 3] }]}
        values={[p50 ?? [], p99 ?? []]}
        format={axis}
        grey={grey}
        sync={name}
      />
      <p class="note">
        {rate ? `Mean ${number(rate.mean)} fps, lowest ${number(rate.min)}.` : 'Nothing was heard in this time.'}
        {since > 1 ? ` Heard since ${clock(series.begin + since * series.step_s * 1000)}.` : ''}
        {silent && rate ? ` Nothing was heard for ${span(silent)} in between: the gaps.` : ''}
      </p>
    </div>
  );
}

export function Curves({ device }: { device: Device }): VNode {
  const [minutes, setMinutes] = useState('15');
  const live = useFleet((state) => state.link === 'live');
  const path = `/devices/${segment(device.name)}/series?minutes=${minutes}`;
  const { data, error, reload } = useFetched(path, (client) => client.get<Series>(path), 5000);
  const grey = !live || device.status !== 'online';
  const here = new Set(device.services.map((service) => `${service.application}/${service.name}`));
  const names = Object.keys(data?.services ?? {}).sort((a, b) => Number(here.has(b)) - Number(here.has(a)) || a.localeCompare(b));
  return (
    <section class="card" aria-label="Curves">
      <header>
        <h2>Over time</h2>
        <Select label="Show" value={minutes} options={WINDOWS} onChange={setMinutes} />
      </header>
      {error ? <Problem text={error} retry={reload} /> : null}
      {!data && !error ? <Loading what="the curves" /> : null}
      {data && !names.length ? <Empty title="Nothing was heard in this time" /> : null}
      {data ? names.map((name) => (
        <div key={name}>
          {names.length > 1 || !here.has(name) ? <h3>{name}{here.has(name) ? '' : ', no longer here'}</h3> : null}
          <ServiceCurves series={data} name={name} grey={grey} />
        </div>
      )) : null}
    </section>
  );
}
