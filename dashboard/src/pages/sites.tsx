// Sites and their gateways; one site with its devices and with what it counted.

import type { VNode } from 'preact';
import { useMemo } from 'preact/hooks';

import type { Aggregate, Device, List, Site as SiteRecord } from '../api/types';
import { bytes, count, nanosToMillis, NOTHING, number, plural } from '../lib/format';
import { href } from '../lib/router';
import { health, isDevice, sorted, why } from '../state/fleet';
import { useFetched, useFleet, useNow } from '../state/session';
import { HealthMark, Icon } from '../ui/icons';
import { Age, Empty, Loading, Page, Problem } from '../ui/parts';

function Gateway({ gateway }: { gateway: Device | null }): VNode {
  if (!gateway) return <p class="muted">No gateway: its devices talk to the cloud themselves.</p>;
  const reason = why(gateway);
  return (
    <>
      <p class="gateway-line">
        <HealthMark health={health(gateway)} /> <a href={href(['devices', gateway.name])}>{gateway.name}</a>
        <span class="muted">heard <Age at={gateway.last_seen_ms} /></span>
      </p>
      {reason ? <p class="bad">{reason}</p> : null}
      <div class="stats">
        <div class="stat"><span class="stat-label">Events waiting</span><b class="num">{count(gateway.outbox.waiting)}</b><span class="stat-sub">{bytes(gateway.outbox.bytes)} on disk</span></div>
        <div class="stat"><span class="stat-label">Passed on</span><b class="num">{count(gateway.outbox.accepted - gateway.outbox.waiting)}</b></div>
        <div class="stat"><span class="stat-label">Dropped</span><b class={`num ${gateway.outbox.dropped ? 'bad' : ''}`}>{count(gateway.outbox.dropped)}</b></div>
        <div class="stat"><span class="stat-label">Memory</span><b class="num">{gateway.agent_rss_mib ? `${number(gateway.agent_rss_mib)} MiB` : NOTHING}</b></div>
      </div>
    </>
  );
}

/** The stream keeps devices up to date; the list of sites tells only which there are. */
function useSites(): { sites: SiteRecord[]; error: string; loading: boolean; reload: () => void } {
  const devices = useFleet((state) => state.devices);
  const fetched = useFetched('sites', (client) => client.all<SiteRecord>('/sites'), 15000);
  const sites = useMemo(() => {
    return (fetched.data ?? []).map((site) => {
      const mine = [...devices.values()].filter((device) => device.site === site.name);
      const plain = mine.filter(isDevice);
      const gateway = mine.find((device) => !isDevice(device)) ?? site.gateway;
      return { ...site, gateway, devices: plain.length, online: plain.filter((device) => device.status === 'online').length };
    });
  }, [fetched.data, devices]);
  return { sites, error: fetched.error, loading: fetched.loading && !fetched.data, reload: fetched.reload };
}

export function Sites(): VNode {
  const { sites, error, loading, reload } = useSites();
  return (
    <Page title="Sites" actions={<a class="button" href="#/tokens"><Icon name="plus" /> Join a gateway</a>}>
      {error ? <Problem text={error} retry={reload} /> : null}
      {loading ? <Loading what="the sites" /> : null}
      {!loading && !error && !sites.length ? (
        <Empty icon="sites" title="There is no site yet">A site appears with its first <a href="#/tokens">join token</a>.</Empty>
      ) : null}
      <div class="tiles">
        {sites.map((site) => (
          <section key={site.name} class="card" aria-label={site.name}>
            <header>
              <h2><a href={href(['sites', site.name])}>{site.name}</a></h2>
              <span class="num">{site.online} of {plural(site.devices, 'device')} online</span>
            </header>
            <Gateway gateway={site.gateway} />
          </section>
        ))}
      </div>
    </Page>
  );
}

interface Counted {
  label: string;
  zone: string;
  rule: string;
  count: number;
  dwell: number;
}

/** Counts of several windows, added up. Pure. */
export function addUp(aggregates: readonly Aggregate[]): { rows: Counted[]; begin: number; end: number } {
  const rows = new Map<string, Counted>();
  let begin = Infinity;
  let end = 0;
  for (const aggregate of aggregates) {
    begin = Math.min(begin, nanosToMillis(aggregate.begin_unix_ns));
    end = Math.max(end, nanosToMillis(aggregate.end_unix_ns));
    for (const entry of aggregate.counts ?? []) {
      const { label = '', zone = '', rule = '' } = entry;
      const key = JSON.stringify([label, zone, rule]);
      const row = rows.get(key) ?? { label, zone, rule, count: 0, dwell: 0 };
      row.count += Number(entry.count ?? 0);
      row.dwell += entry.dwell_seconds ?? 0;
      rows.set(key, row);
    }
  }
  return { rows: [...rows.values()].sort((a, b) => b.count - a.count), begin: Number.isFinite(begin) ? begin : 0, end };
}

function Counts({ site }: { site: string }): VNode {
  const minute = Math.floor(useNow(60000) / 60000) * 60000;
  const path = `/aggregates?site=${encodeURIComponent(site)}&since=${minute - 3600000}&limit=1000`;
  const { data, error, loading, reload } = useFetched(path, (client) => client.get<List<Aggregate>>(path));
  const { rows } = addUp(data?.items ?? []);
  return (
    <section class="card" aria-label="Counts">
      <header><h2>Counted in the last hour</h2></header>
      {error ? <Problem text={error} retry={reload} /> : null}
      {loading && !data ? <Loading what="the counts" /> : null}
      {data && !rows.length ? <Empty title="Nothing was counted" /> : null}
      {rows.length ? (
        <table class="plain-table">
          <thead><tr><th>Label</th><th>Zone or line</th><th>Rule</th><th class="right">Count</th><th class="right">Dwell</th></tr></thead>
          <tbody>
            {rows.slice(0, 50).map((row) => (
              <tr key={`${row.label}/${row.zone}/${row.rule}`}>
                <td>{row.label || 'any'}</td><td>{row.zone || 'anywhere'}</td><td>{row.rule || NOTHING}</td>
                <td class="num right">{count(row.count)}</td><td class="num right">{row.dwell ? `${number(row.dwell)} s` : NOTHING}</td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : null}
    </section>
  );
}

export function Site({ name }: { name: string }): VNode {
  const { sites, loading, error, reload } = useSites();
  const devices = useFleet((state) => state.devices);
  const site = sites.find((each) => each.name === name);
  const crumbs = <a href="#/sites"><Icon name="left" size={14} /> Sites</a>;
  if (!site) {
    return (
      <Page title={name} crumbs={crumbs}>
        {error ? <Problem text={error} retry={reload} /> : loading ? <Loading what="the site" /> : <Empty icon="sites" title="No site has this name" />}
      </Page>
    );
  }
  const mine = sorted([...devices.values()].filter((device) => device.site === name && isDevice(device)), 'health', false);
  return (
    <Page title={name} crumbs={crumbs} lead={<span class="num">{site.online} of {plural(site.devices, 'device')} online</span>}>
      <div class="columns">
        <section class="card" aria-label="Gateway"><header><h2>Gateway</h2></header><Gateway gateway={site.gateway} /></section>
        <section class="card" aria-label="Devices">
          <header><h2>Devices</h2><a href={href(['devices'], { site: name })}>Open in the fleet</a></header>
          <ul class="plain-list">
            {mine.slice(0, 12).map((device) => (
              <li key={device.name}><HealthMark health={health(device)} bare /> <a href={href(['devices', device.name])}>{device.name}</a> <span class="muted">{why(device)}</span></li>
            ))}
          </ul>
          {mine.length > 12 ? <p class="muted">and {plural(mine.length - 12, 'other')}</p> : null}
        </section>
      </div>
      <Counts site={name} />
    </Page>
  );
}
