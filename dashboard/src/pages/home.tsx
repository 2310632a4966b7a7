// The home page: what is wrong, then the system with its numbers, then what happened last.

import type { VNode } from 'preact';
import { useState } from 'preact/hooks';

import type { Overview, Trouble } from '../api/types';
import { Diagram } from '../diagram/diagram';
import { diagram } from '../diagram/model';
import { clock, NOTHING, plural } from '../lib/format';
import { inside } from '../lib/router';
import { useFleet } from '../state/session';
import { Icon } from '../ui/icons';
import { Empty, Loading, Page } from '../ui/parts';
import { eventHref, eventTime, eventTitle } from './event_text';

/** Troubles that are shown before somebody asks for the rest. */
const SHOWN = 5;

/** What the control plane calls trouble; where it names none but counts some, that is said. */
export function troubles(overview: Overview): Trouble[] {
  if (overview.trouble.length) {
    const order = (trouble: Trouble): number => (trouble.severity === 'error' ? 0 : 1);
    return [...overview.trouble].sort((a, b) => order(a) - order(b));
  }
  const n = overview.devices;
  const found: Trouble[] = [];
  const add = (amount: number, severity: string, word: string): void => {
    if (!amount) return;
    const what = `${plural(amount, 'device')} ${amount === 1 ? 'is' : 'are'} ${word}`;
    found.push({ severity, what, href: `#/devices?health=${word}` });
  };
  add(n.failing, 'error', 'failing');
  add(n.offline, 'error', 'offline');
  add(n.unreachable, 'warning', 'unreachable');
  add(n.stale, 'warning', 'stale');
  return found;
}

function Calm({ overview, live }: { overview: Overview; live: boolean }): VNode {
  const { total, online } = overview.devices;
  const text = total
    ? `${online === total ? `All ${plural(total, 'device')}` : `${online} of ${plural(total, 'device')}`} online, ${plural(overview.applications, 'application')} deployed.`
    : 'No device has joined yet.';
  if (!live) {
    return (
      <div class="verdict calm unknown">
        <Icon name="unlink" size={22} />
        <div><strong>How it is now is not known.</strong> <span class="num">When last heard nothing was wrong: {text}</span></div>
      </div>
    );
  }
  return (
    <div class="verdict calm">
      <Icon name="check" size={22} />
      <div><strong>{total ? 'Everything is well.' : 'Ready.'}</strong> <span class="num">{text}</span></div>
      {total ? null : <a class="button" href="#/tokens">Join the first device</a>}
    </div>
  );
}

function TroubleList({ list, live }: { list: Trouble[]; live: boolean }): VNode {
  const [all, setAll] = useState(false);
  const errors = list.filter((trouble) => trouble.severity === 'error').length;
  const shown = all ? list : list.slice(0, SHOWN);
  return (
    <section class={`verdict ${errors ? 'bad' : 'uneasy'}`} aria-label="Trouble">
      <h2>
        <Icon name={errors ? 'error' : 'warning'} size={22} />
        {list.length === 1 ? 'One thing needs attention' : `${list.length} things need attention`}
        {live ? '' : ', when last heard'}
      </h2>
      <ul class="troubles">
        {shown.map((trouble) => (
          <li key={`${trouble.what}${trouble.href}`}>
            <a href={inside(trouble.href)} class={trouble.severity === 'error' ? 'error' : 'warning'}>
              <Icon name={trouble.severity === 'error' ? 'error' : 'warning'} size={16} />
              <span class="severity">{trouble.severity === 'error' ? 'Error' : 'Warning'}</span>
              <span>{trouble.what}</span>
              <Icon name="right" size={16} />
            </a>
          </li>
        ))}
      </ul>
      {list.length > SHOWN ? (
        <button type="button" class="plain" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `Show all ${list.length}`}
        </button>
      ) : null}
    </section>
  );
}

function LatestEvents(): VNode {
  const events = useFleet((state) => state.events);
  return (
    <section class="card latest" aria-label="Latest events">
      <header><h2>Latest events</h2><a href="#/events">All events</a></header>
      {events.length ? (
        <ol class="ticker">
          {events.slice(0, 6).map((event) => (
            <li key={event.id}>
              <a href={eventHref(event)}>
                <time class="num">{clock(eventTime(event).ms)}</time>
                <span class="ticker-what">{eventTitle(event)}</span>
                <span class="ticker-where">{event.device ?? NOTHING}</span>
              </a>
            </li>
          ))}
        </ol>
      ) : (
        <Empty title="No event has arrived yet">A rule of a pipeline makes one when it fires; it appears here the moment it arrives.</Empty>
      )}
    </section>
  );
}

export function Home(): VNode {
  const overview = useFleet((state) => state.overview);
  const devices = useFleet((state) => state.devices);
  const live = useFleet((state) => state.link === 'live');
  if (!overview) return <Page title="Overview"><Loading what="the overview" /></Page>;
  const list = troubles(overview);
  return (
    <Page title="Overview">
      {list.length ? <TroubleList list={list} live={live} /> : <Calm overview={overview} live={live} />}
      <Diagram model={diagram(overview, devices)} devices={devices} live={live} />
      <LatestEvents />
    </Page>
  );
}
