// One event: what was decided and why, boxes on an empty frame of the picture's size, and how long each stage took.

import type { VNode } from 'preact';

import type { EventRecord, List } from '../api/types';
import { digest, millis, moment, nanosToMillis, NOTHING, percent } from '../lib/format';
import { href } from '../lib/router';
import { useFetched, useFleet } from '../state/session';
import { Icon } from '../ui/icons';
import { Copy, Empty, Loading, Page, Problem } from '../ui/parts';
import { Stack } from '../ui/stack';
import { comparison, eventTime, eventTitle, seen, stages } from './event_text';

const TIME_OF_ULID = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** The milliseconds in a ULID's first ten characters; 0 where it is none. */
export function ulidTime(id: string): number {
  if (!/^[0-9A-HJKMNP-TV-Z]{26}$/.test(id)) return 0;
  let ms = 0;
  for (const letter of id.slice(0, 10)) ms = ms * 32 + TIME_OF_ULID.indexOf(letter);
  return ms;
}

function Frame({ event }: { event: EventRecord }): VNode {
  const { width, height } = event;
  if (!(width > 0 && height > 0)) return <Empty title="The picture’s size is not known" />;
  const mine = String(event.decision?.track ?? '');
  const text = Math.max(12, width / 34);
  return (
    <svg class="frame" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={`Boxes in a picture of ${width} by ${height}: ${seen(event) || 'none'}`}>
      <rect class="frame-back" width={width} height={height} />
      {(event.detections ?? []).map((detection, i) => {
        const { x1, y1, x2, y2 } = detection.box;
        const chosen = mine !== '' && mine !== '0' && String(detection.track) === mine;
        const label = `${detection.label} ${Math.round(detection.score * 100)} %`;
        const above = y1 > text * 1.6;
        return (
          <g key={i} class={chosen ? 'chosen' : ''}>
            <rect class="frame-box" x={x1} y={y1} width={Math.max(0, x2 - x1)} height={Math.max(0, y2 - y1)} stroke-width={width / (chosen ? 180 : 260)} />
            <text x={Math.max(0, x1)} y={above ? y1 - text * 0.4 : y1 + text * 1.1} font-size={text}>{label}</text>
          </g>
        );
      })}
    </svg>
  );
}

function Detections({ event }: { event: EventRecord }): VNode {
  const mine = String(event.decision?.track ?? '');
  return (
    <table class="plain-table">
      <thead><tr><th>Label</th><th class="right">Score</th><th class="right">Track</th><th class="right">Box, pixels</th></tr></thead>
      <tbody>
        {(event.detections ?? []).map((d, i) => (
          <tr key={i} class={String(d.track) === mine && mine !== '0' ? 'chosen' : ''}>
            <td>{d.label}{String(d.track) === mine && mine !== '0' ? <span class="tag">fired</span> : null}</td>
            <td class="num right">{percent(d.score, 1)}</td>
            <td class="num right">{String(d.track) === '0' ? NOTHING : d.track}</td>
            <td class="num right">{[d.box.x1, d.box.y1].map(Math.round).join(', ')} – {[d.box.x2, d.box.y2].map(Math.round).join(', ')}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Times({ event }: { event: EventRecord }): VNode | null {
  const { parts, total } = stages(event);
  const captured = nanosToMillis(event.captured_unix_ns);
  const way = event.received_ms ? event.received_ms - nanosToMillis(event.decided_unix_ns) : null;
  return (
    <section class="card" aria-label="Times">
      <header><h2>How long it took</h2><span class="num">{millis(total / 1000)} from capture to decision</span></header>
      {parts.length ? (
        <Stack
          parts={parts.map((part, i) => ({ key: part.key, label: part.key, value: part.us, kind: `stage-${i % 8}`, text: millis(part.us / 1000) }))}
          total={total}
          label={`${millis(total / 1000)} in all`}
        />
      ) : null}
      <dl class="facts">
        <div class="fact"><dt>Captured</dt><dd class="num">{moment(captured, 0)}</dd></div>
        <div class="fact"><dt>Received</dt><dd class="num">{event.received_ms ? moment(event.received_ms, 0) : NOTHING}</dd></div>
        <div class="fact"><dt>From decision to here</dt><dd class="num">{way === null ? NOTHING : way < 0 ? 'before it was decided: a clock is wrong' : millis(way)}</dd></div>
      </dl>
    </section>
  );
}

function Facts({ event }: { event: EventRecord }): VNode {
  const model = event.model ?? {};
  const decision = event.decision;
  const entries: [string, VNode | string][] = [
    ['Rule', decision ? `${decision.rule} (${decision.kind})` : 'none: a record of every frame'],
    ['Compared', comparison(event) || NOTHING],
    ['Zone or line', decision?.zone || NOTHING],
    ['Device', event.device ? <a href={href(['devices', event.device])}>{event.device}</a> : NOTHING],
    ['Site', event.site ?? NOTHING],
    ['Pipeline', event.pipeline ?? NOTHING],
    ['Source', `${event.source ?? NOTHING}, frame ${event.frame}`],
    ['Decided', event.provenance ? { LOCAL: 'on the device', CLOUD: 'by the cloud', AMENDED: 'on the device, corrected by the cloud' }[event.provenance] ?? event.provenance : NOTHING],
    ['Model', [model.name, model.version, model.variant].filter(Boolean).join(' ') || NOTHING],
    ['Engine', model.engine || NOTHING],
    ['Digest', <code title={model.digest}>{digest(model.digest)}</code>],
    ['Id', <code>{event.id}</code>],
  ];
  return (
    <dl class="facts">
      {entries.map(([name, value]) => <div key={name} class="fact"><dt>{name}</dt><dd>{value}</dd></div>)}
    </dl>
  );
}

export function EventPage({ id, device }: { id: string; device: string }): VNode {
  const known = useFleet((state) => state.events.find((event) => event.id === id));
  const crumbs = <a href="#/events"><Icon name="left" size={14} /> Events</a>;
  const asked = useFetched(`event ${id}`, async (client): Promise<EventRecord | null> => {
    if (known) return known;
    // The list is by arrival, and the id tells when it was made: it came soon after that, or when the link was back.
    const time = ulidTime(id);
    const queries = [`order=desc`, ...(time ? [`order=asc&since=${Math.max(1, time - 60000)}`] : [])].reverse();
    for (const query of queries) {
      const where = device ? `&device=${encodeURIComponent(device)}` : '';
      const list = await client.get<List<EventRecord>>(`/events?limit=1000&${query}${where}`);
      const found = list.items.find((event) => event.id === id);
      if (found) return found;
    }
    return null;
  });
  const event = known ?? asked.data;
  if (!event) {
    return (
      <Page title="Event" crumbs={crumbs}>
        {asked.error ? <Problem text={asked.error} retry={asked.reload} /> : asked.loading ? <Loading what="the event" /> : <Empty icon="events" title="This event is not there">It may be older than what the control plane keeps.</Empty>}
      </Page>
    );
  }
  return (
    <Page title={eventTitle(event)} crumbs={crumbs} lead={`${seen(event) || 'nothing seen'} · ${moment(eventTime(event).ms, 0)}`}>
      <div class="columns wide-left">
        <section class="card" aria-label="What was seen">
          <header><h2>What was seen</h2><span class="muted num">{event.width} × {event.height}</span></header>
          <Frame event={event} />
          <p class="note">The boxes in an empty frame of the picture’s size: an event carries no picture.</p>
          {event.detections?.length ? <Detections event={event} /> : null}
        </section>
        <div class="stacked">
          <section class="card" aria-label="Decision">
            <header><h2>Why</h2></header>
            <Facts event={event} />
          </section>
          <Times event={event} />
          <section class="card" aria-label="Record">
            <details>
              <summary>The whole record</summary>
              <Copy text={JSON.stringify(event)} />
              <pre class="log" tabIndex={0}>{JSON.stringify(event, null, 2)}</pre>
            </details>
          </section>
        </div>
      </div>
    </Page>
  );
}
