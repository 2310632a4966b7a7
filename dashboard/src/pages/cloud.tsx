// The control plane itself: what it received and keeps, how late events come, and the links' rates since this page was opened.

import type { VNode } from 'preact';
import { useMemo } from 'preact/hooks';

import { byteRate, bytes, count, millis, number, NOTHING, rate } from '../lib/format';
import type { Column } from '../lib/series';
import type { State } from '../state/reducer';
import { useFleet } from '../state/session';
import { Chart } from '../ui/chart';
import { Loading, Page } from '../ui/parts';

/** Overviews as columns; where the link was lost there is a gap one second after the last value. Pure. */
export function historyColumns(history: State['history']): { x: number[]; uplink: Column; events: Column } {
  const x: number[] = [];
  const uplink: Column = [];
  const events: Column = [];
  for (const overview of history) {
    const before = x[x.length - 1] ?? 0;
    const at = overview ? overview.time_ms / 1000 : before + 1;
    if (at <= before) continue; // The same second twice, or a clock that was set back.
    x.push(at);
    uplink.push(overview ? overview.rates.uplink_bytes_per_s : null);
    events.push(overview ? overview.rates.events_per_s : null);
  }
  return { x, uplink, events };
}

function Total({ label, value, sub, bad }: { label: string; value: string; sub?: string; bad?: boolean }): VNode {
  return (
    <div class="stat">
      <span class="stat-label">{label}</span>
      <b class={`num ${bad ? 'bad' : ''}`}>{value}</b>
      {sub ? <span class="stat-sub">{sub}</span> : null}
    </div>
  );
}

export function Cloud(): VNode {
  const overview = useFleet((state) => state.overview);
  const history = useFleet((state) => state.history);
  const version = useFleet((state) => state.version);
  const role = useFleet((state) => state.role);
  const live = useFleet((state) => state.link === 'live');
  const { x, uplink, events } = useMemo(() => historyColumns(history), [history]);
  if (!overview) return <Page title="Cloud"><Loading what="the control plane" /></Page>;
  const { totals, rates, latency } = overview;
  return (
    <Page title="Cloud" lead={<><span>version {version || NOTHING}</span>{role ? <span>you are {role}</span> : null}</>}>
      <section class="card" aria-label="Events">
        <header><h2>Events</h2><a href="#/events">See them</a></header>
        <div class="stats">
          <Total label="Kept" value={count(totals.events)} sub={rate(rates.events_per_s)} />
          <Total label="Came twice, counted once" value={count(totals.events_duplicate)} />
          <Total label="Dropped by a cap" value={count(totals.dropped_events)} bad={totals.dropped_events > 0} />
          <Total label="Event to cloud, p50" value={totals.events ? millis(latency.event_to_cloud_p50_ms) : NOTHING} />
          <Total label="Event to cloud, p99" value={totals.events ? millis(latency.event_to_cloud_p99_ms) : NOTHING} />
        </div>
      </section>
      <section class="card" aria-label="Links">
        <header><h2>Links</h2></header>
        <div class="stats">
          <Total label="Up from the sites" value={byteRate(rates.uplink_bytes_per_s)} />
          <Total label="Down to the sites" value={byteRate(rates.downlink_bytes_per_s)} />
          <Total label="From the registry" value={byteRate(rates.registry_bytes_per_s)} sub={`${bytes(totals.registry_bytes)} in all`} />
          <Total label="Frames seen by the fleet" value={count(totals.frames)} sub={rate(rates.frames_per_s)} />
        </div>
        {x.length > 1 ? (
          <div class="curves">
            <Chart title="Up from the sites" unit="" x={x} curves={[{ label: 'uplink', color: '--blue' }]} values={[uplink]} format={(value) => (value === null ? '' : byteRate(value))} grey={!live} sync="cloud" />
            <Chart title="Events per second" unit=" /s" x={x} curves={[{ label: 'events', color: '--green' }]} values={[events]} format={(value) => (value === null ? '' : number(value))} grey={!live} sync="cloud" />
            <p class="note">Since the dashboard was opened; where the connection was lost there is a gap.</p>
          </div>
        ) : null}
      </section>
      <section class="card" aria-label="For machines">
        <header><h2>For machines</h2></header>
        <p>The same and more, by HTTP: <a href="./api/openapi.json">OpenAPI description</a>. Metrics for Prometheus are at <code>/metrics</code>, with a viewer’s token.</p>
      </section>
    </Page>
  );
}
