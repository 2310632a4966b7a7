// Events: those of the stream as they come, older ones page by page, filtered; exported as they are filtered.

import type { VNode } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';

import { sentence, type Client } from '../api/client';
import type { EventRecord, List } from '../api/types';
import { moment, NOTHING, plural } from '../lib/format';
import { toCsv, toJsonLines } from '../lib/export';
import { href } from '../lib/router';
import { useFetched, useFleet, useNow, useSession } from '../state/session';
import { Icon } from '../ui/icons';
import { Empty, Field, Loading, Page, Problem } from '../ui/parts';
import { useNarrow } from '../ui/screen';
import { Virtual } from '../ui/virtual';
import { eventHref, eventTime, eventTitle, fits, seen, type EventFilter } from './event_text';

const PAGE = 200;
/** An export is a file that a person opens, not a backup: `selvedge events` gives everything. */
const MAX_EXPORT = 10000;

export function filterOf(query: URLSearchParams): EventFilter {
  const text = (key: string): string => query.get(key) ?? '';
  const time = (key: string): number => Number(query.get(key)) || 0;
  return {
    device: text('device'),
    site: text('site'),
    application: text('application'),
    rule: text('rule'),
    label: text('label'),
    since: time('since'),
    until: time('until'),
  };
}

export function queryOf(filter: EventFilter): Record<string, string> {
  return Object.fromEntries(
    Object.entries(filter).filter(([, value]) => value).map(([key, value]) => [key, String(value)]),
  );
}

function page(client: Client, filter: EventFilter, after: string, limit: number): Promise<List<EventRecord>> {
  const query = new URLSearchParams({ ...queryOf(filter), order: 'desc', limit: String(limit) });
  if (after) query.set('after', after);
  return client.get<List<EventRecord>>(`/events?${query}`);
}

/** What the browser's own field for date and time writes: local time, to the minute. */
function localTime(ms: number): string {
  if (!ms) return '';
  const date = new Date(ms - new Date(ms).getTimezoneOffset() * 60000);
  return date.toISOString().slice(0, 16);
}

function save(name: string, type: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

function Filters({ filter, onChange }: { filter: EventFilter; onChange: (filter: EventFilter) => void }): VNode {
  const devices = useFleet((state) => state.devices);
  const applications = useFleet((state) => state.applications);
  const recent = useFleet((state) => state.events);
  const rules = [...new Set(recent.map((event) => event.decision?.rule ?? ''))].filter(Boolean).sort();
  const labels = [...new Set(recent.flatMap((event) => (event.detections ?? []).map((d) => d.label)))].sort();
  const sites = [...new Set([...devices.values()].map((device) => device.site))].sort();
  const choices: [keyof EventFilter, string, string[]][] = [
    ['device', 'Device', [...devices.keys()].sort()],
    ['site', 'Site', sites],
    ['application', 'Application', [...applications.keys()].sort()],
    ['rule', 'Rule', rules],
    ['label', 'Label', labels],
  ];
  return (
    <form class="filters" onSubmit={(event) => event.preventDefault()}>
      {choices.map(([key, title, known]) => (
        <Field key={key} label={title}>
          <input
            list={`known-${key}`}
            value={String(filter[key])}
            placeholder="any"
            data-search={key === 'device' ? '' : undefined}
            onChange={(event) => onChange({ ...filter, [key]: event.currentTarget.value.trim() })}
          />
          <datalist id={`known-${key}`}>{known.map((value) => <option key={value} value={value} />)}</datalist>
        </Field>
      ))}
      {(['since', 'until'] as const).map((key) => (
        <Field key={key} label={key === 'since' ? 'From' : 'Until'}>
          <input
            type="datetime-local"
            value={localTime(filter[key])}
            onChange={(event) => onChange({ ...filter, [key]: event.currentTarget.value ? new Date(event.currentTarget.value).getTime() : 0 })}
          />
        </Field>
      ))}
    </form>
  );
}

function Row({ event, now }: { event: EventRecord; now: number }): VNode {
  const { ms, doubtful } = eventTime(event);
  return (
    <>
      <span role="cell" class="c-time num" title={doubtful ? 'When it arrived: the device’s clock is wrong' : moment(ms, 0)}>
        {moment(ms, now)}{doubtful ? <span class="warn"> clock?</span> : null}
      </span>
      <span role="cell" class="c-what"><a href={eventHref(event)}>{eventTitle(event)}</a></span>
      <span role="cell" class="c-seen-labels">{seen(event) || NOTHING}</span>
      <span role="cell" class="c-device">{event.device ?? NOTHING}</span>
      <span role="cell" class="c-pipeline">{event.pipeline ?? NOTHING}</span>
    </>
  );
}

function useEvents(filter: EventFilter, paused: boolean): {
  events: EventRecord[];
  error: string;
  loading: boolean;
  older: string;
  loadOlder: () => void;
  reload: () => void;
  waiting: number;
} {
  const { client } = useSession();
  const live = useFleet((state) => state.events);
  const key = JSON.stringify(filter);
  const first = useFetched(key, (c) => page(c, filter, '', PAGE));
  const [known, setKnown] = useState<{ key: string; events: EventRecord[]; next: string }>({ key: '', events: [], next: '' });
  const [error, setError] = useState('');
  useEffect(() => {
    if (first.data) setKnown({ key, events: first.data.items, next: first.data.next ?? '' });
  }, [first.data]);
  const [held, setHeld] = useState(live);
  useEffect(() => {
    if (!paused) setHeld(live);
  }, [live, paused]);
  const mine = known.key === key ? known.events : [];
  const events = useMemo(() => {
    const fresh = held.filter((event) => fits(event, filter));
    const ids = new Set(mine.map((event) => event.id));
    return [...fresh.filter((event) => !ids.has(event.id)), ...mine];
  }, [held, mine, key]);
  const loadOlder = (): void => {
    page(client, filter, known.next, PAGE).then(
      (list) => setKnown((old) => ({ key, events: append(old.events, list.items), next: list.next ?? '' })),
      (problem: unknown) => setError(sentence(problem)),
    );
  };
  return {
    events,
    error: first.error || error,
    loading: first.loading && !mine.length,
    older: known.key === key ? known.next : '',
    loadOlder,
    reload: first.reload,
    waiting: paused ? live.filter((event) => fits(event, filter)).length - held.filter((event) => fits(event, filter)).length : 0,
  };
}

function append(known: EventRecord[], older: EventRecord[]): EventRecord[] {
  const ids = new Set(known.map((event) => event.id));
  return [...known, ...older.filter((event) => !ids.has(event.id))];
}

function Export({ filter }: { filter: EventFilter }): VNode {
  const { client } = useSession();
  const [said, setSaid] = useState('');
  const run = async (kind: 'csv' | 'jsonl'): Promise<void> => {
    try {
      let all: EventRecord[] = [];
      let after = '';
      do {
        const list = await page(client, filter, after, 1000);
        all = append(all, list.items);
        after = list.next ?? '';
        setSaid(`${all.length} read…`);
      } while (after && all.length < MAX_EXPORT);
      const events = all.slice(0, MAX_EXPORT);
      if (kind === 'csv') save('events.csv', 'text/csv;charset=utf-8', toCsv(events));
      else save('events.jsonl', 'application/x-ndjson', toJsonLines(events));
      setSaid(`${plural(events.length, 'event')} exported${after ? '; there are more: use selvedge events' : ''}`);
    } catch (error) {
      setSaid(sentence(error));
    }
  };
  return (
    <span class="export">
      <span class="muted" role="status">{said}</span>
      <button type="button" onClick={() => void run('csv')}><Icon name="download" size={16} /> CSV</button>
      <button type="button" onClick={() => void run('jsonl')}><Icon name="download" size={16} /> JSON lines</button>
    </span>
  );
}

export function Events({ query }: { query: URLSearchParams }): VNode {
  const filter = filterOf(query);
  const [paused, setPaused] = useState(false);
  const [wide, setWide] = useState(false);
  const narrow = useNarrow();
  const now = useNow(60000);
  const live = useFleet((state) => state.link === 'live');
  const { events, error, loading, older, loadOlder, reload, waiting } = useEvents(filter, paused);
  const active = Object.keys(queryOf(filter)).length;
  const change = (next: EventFilter): void => {
    location.replace(href(['events'], queryOf(next)));
  };
  const state = paused ? `paused${waiting > 0 ? `, ${plural(waiting, 'new one')} wait${waiting === 1 ? 's' : ''}` : ''}` : live && !filter.until ? 'live' : 'not live';
  return (
    <Page title="Events" actions={<Export filter={filter} />}>
      {narrow ? (
        <button type="button" class="filter-toggle" aria-expanded={wide} onClick={() => setWide(!wide)}>
          <Icon name="search" size={16} /> Filters{active ? ` (${active})` : ''}
        </button>
      ) : null}
      {!narrow || wide ? <Filters filter={filter} onChange={change} /> : null}
      <p class="result-count" role="status">
        <span class={`live-word ${state === 'live' ? 'on' : ''}`}>{state}</span>
        <button type="button" class="plain" aria-pressed={paused} onClick={() => setPaused(!paused)}>
          <Icon name={paused ? 'play' : 'pause'} size={14} /> {paused ? 'Go on' : 'Pause'}
        </button>
        {active ? <a href="#/events">Show all</a> : null}
      </p>
      {error ? <Problem text={error} retry={reload} /> : null}
      {loading ? <Loading what="events" /> : null}
      {!loading && !events.length && !error ? (
        <Empty icon="events" title={active ? 'No event fits these filters' : 'No event has arrived yet'}>
          {active ? <a href="#/events">Show all events</a> : 'A rule of a pipeline makes one when it fires.'}
        </Empty>
      ) : null}
      {events.length ? (
        <Virtual
          items={events}
          rowHeight={narrow ? 64 : 38}
          keyOf={(event) => event.id}
          label="Events"
          class="event-table"
          row={(event) => <Row event={event} now={now} />}
          columns={['Captured', 'What', 'Seen', 'Device', 'Pipeline'].map((title, i) => (
            <span key={title} role="columnheader" class={['c-time', 'c-what', 'c-seen-labels', 'c-device', 'c-pipeline'][i]}>{title}</span>
          ))}
        />
      ) : null}
      {older ? <p class="older"><button type="button" onClick={loadOlder}>Older events</button></p> : null}
    </Page>
  );
}

