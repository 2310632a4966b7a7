// Local inference: every pipeline of the fleet, slowest first, and one ledger of all frames.

import type { VNode } from 'preact';
import { useMemo } from 'preact/hooks';

import { count, frames, millis, percent, plural } from '../lib/format';
import { parts, sum } from '../lib/ledger';
import { href } from '../lib/router';
import { isDevice, services, type Running } from '../state/fleet';
import { useFleet } from '../state/session';
import { StateMark } from '../ui/icons';
import { Empty, Page } from '../ui/parts';
import { useNarrow } from '../ui/screen';
import { Stack } from '../ui/stack';
import { Virtual } from '../ui/virtual';

const COLUMNS: [string, string][] = [
  ['c-name', 'Device'],
  ['c-service', 'Service'],
  ['c-state', 'State'],
  ['c-model', 'Model'],
  ['c-fps right', 'Frames/s'],
  ['c-p50 right', 'p50'],
  ['c-p99 right', 'p99'],
  ['c-drop right', 'Dropped'],
];

function dropped(running: Running): number {
  return Object.values(running.service.pipeline?.ledger.dropped ?? {}).reduce((total, value) => total + value, 0);
}

function Cells({ running }: { running: Running }): VNode {
  const { device, service } = running;
  const p = service.pipeline;
  const old = device.status === 'online' ? '' : 'old';
  return (
    <>
      <span role="cell" class="c-name"><a href={href(['devices', device.name])}>{device.name}</a></span>
      <span role="cell" class="c-service">{service.application}/{service.name}</span>
      <span role="cell" class="c-state">{old ? <span class="muted">{device.status}</span> : <StateMark state={service.state} />}</span>
      <span role="cell" class="c-model" title={p?.choice_reason}>{p ? `${p.model} · ${p.engine} ${p.variant}` : ''}</span>
      <span role="cell" class={`c-fps num right ${old}`}>{frames(p?.fps)}</span>
      <span role="cell" class={`c-p50 num right ${old}`}>{millis(p?.p50_ms)}</span>
      <span role="cell" class={`c-p99 num right ${old}`}>{millis(p?.p99_ms)}</span>
      <span role="cell" class={`c-drop num right ${old}`}>{p ? percent(dropped(running), p.ledger.in) : ''}</span>
    </>
  );
}

export function Inference(): VNode {
  const devices = useFleet((state) => state.devices);
  const latency = useFleet((state) => state.overview?.latency);
  const narrow = useNarrow();
  const all = useMemo(
    () =>
      services([...devices.values()].filter(isDevice))
        .filter(({ service }) => service.kind === 'pipeline')
        .sort((a, b) => (b.service.pipeline?.p99_ms ?? 0) - (a.service.pipeline?.p99_ms ?? 0)),
    [devices],
  );
  const ledger = useMemo(() => parts(sum(all.flatMap(({ service }) => (service.pipeline ? [service.pipeline.ledger] : [])))), [all]);
  return (
    <Page
      title="Local inference"
      lead={latency ? <span class="num">Whole fleet, capture to decision: p50 {millis(latency.p50_ms)}, p99 {millis(latency.p99_ms)}</span> : null}
    >
      {all.length ? (
        <>
          <section class="card" aria-label="Ledger">
            <header><h2>Where {count(ledger.total)} frames went</h2></header>
            <Stack parts={ledger.parts} total={ledger.total} label={`${plural(ledger.total, 'frame')} in`} />
          </section>
          <Virtual
            items={all}
            rowHeight={narrow ? 84 : 40}
            keyOf={({ device, service }) => `${device.name}/${service.application}/${service.name}`}
            label="Pipelines"
            class="inference-table"
            row={(running) => <Cells running={running} />}
            columns={COLUMNS.map(([name, title]) => <span key={title} role="columnheader" class={name}>{title}</span>)}
          />
        </>
      ) : (
        <Empty icon="play" title="No pipeline runs yet"><a href="#/apply">Apply a manifest</a> whose image begins with <code>pipeline:</code>.</Empty>
      )}
    </Page>
  );
}
