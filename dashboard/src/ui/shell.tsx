// The frame around every page: where one can go, whether what is shown is live, theme, keys.

import type { ComponentChildren, VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import { clock, span } from '../lib/format';
import { useFleet, useSession } from '../state/session';
import { Icon, Logo } from './icons';
import { Dialog, isTyping } from './parts';
import { setTheme, theme, useNarrow, type Theme } from './screen';

interface Entry {
  path: string;
  /** First parts of addresses that belong to it. */
  owns: string[];
  title: string;
  icon: string;
  key: string;
}

const ENTRIES: Entry[] = [
  { path: '#/', owns: ['', 'parts', 'cloud', 'inference'], title: 'Overview', icon: 'home', key: 'o' },
  { path: '#/devices', owns: ['devices'], title: 'Fleet', icon: 'devices', key: 'f' },
  { path: '#/applications', owns: ['applications', 'apply'], title: 'Deployments', icon: 'apps', key: 'd' },
  { path: '#/events', owns: ['events'], title: 'Events', icon: 'events', key: 'e' },
  { path: '#/sites', owns: ['sites'], title: 'Sites', icon: 'sites', key: 's' },
  { path: '#/packages', owns: ['packages'], title: 'Registry', icon: 'registry', key: 'r' },
  { path: '#/tokens', owns: ['tokens'], title: 'Tokens', icon: 'tokens', key: 't' },
];

/** On a phone so many fit below; the rest is behind "More". */
const BELOW = 4;

function useTicking(everyMs: number): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

function LinkWord(): VNode {
  const link = useFleet((state) => state.link);
  const word = { live: 'live', connecting: 'connecting', lost: 'not connected' }[link];
  return (
    <span class={`link-word ${link}`} role="status">
      <Icon name={link === 'lost' ? 'unlink' : 'link'} size={18} /> <span>{word}</span>
    </span>
  );
}

function Banner(): VNode | null {
  const session = useSession();
  const link = useFleet((state) => state.link);
  const reason = useFleet((state) => state.linkReason);
  const heard = useFleet((state) => state.lastHeard);
  const retryAt = useFleet((state) => state.retryAt);
  const now = useTicking(1000);
  if (link !== 'lost') return null;
  const wait = Math.max(0, Math.ceil((retryAt - now) / 1000));
  return (
    <div class="banner" role="alert">
      <Icon name="unlink" size={20} />
      <div>
        <strong>No connection to the control plane.</strong> {reason}{' '}
        {heard ? <span class="num">All numbers are of {clock(heard)}, {span(now - heard)} ago.</span> : null}{' '}
        Devices go on by themselves.
      </div>
      <button type="button" onClick={() => session.reconnect()}>Try now{wait ? <span class="num" aria-hidden="true"> ({wait} s)</span> : null}</button>
    </div>
  );
}

const THEMES: Theme[] = ['auto', 'light', 'dark'];
const THEME_ICONS: Record<Theme, string> = { auto: 'auto', light: 'sun', dark: 'moon' };

export function ThemeSwitch(): VNode {
  const [value, setValue] = useState(theme);
  const next = THEMES[(THEMES.indexOf(value) + 1) % THEMES.length] ?? 'auto';
  return (
    <button
      type="button"
      class="plain icon-only"
      aria-label={`Colours: ${value}. Change to ${next}`}
      title={`Colours: ${value}`}
      data-theme-switch
      onClick={() => {
        setTheme(next);
        setValue(next);
      }}
    >
      <Icon name={THEME_ICONS[value]} />
    </button>
  );
}

function NavLink({ entry, current }: { entry: Entry; current: string }): VNode {
  return (
    <a href={entry.path} aria-current={entry.owns.includes(current) ? 'page' : undefined}>
      <Icon name={entry.icon} /> <span>{entry.title}</span>
    </a>
  );
}

function Keys({ open, onClose }: { open: boolean; onClose: () => void }): VNode | null {
  return (
    <Dialog title="Keys" open={open} onClose={onClose}>
      <dl class="keys">
        {ENTRIES.map((entry) => (
          <div key={entry.key}><dt><kbd>g</kbd> <kbd>{entry.key}</kbd></dt><dd>{entry.title}</dd></div>
        ))}
        <div><dt><kbd>/</kbd></dt><dd>find, where there is something to find</dd></div>
        <div><dt><kbd>↑</kbd> <kbd>↓</kbd> <kbd>Home</kbd> <kbd>End</kbd></dt><dd>from row to row in a list</dd></div>
        <div><dt><kbd>Enter</kbd></dt><dd>open</dd></div>
        <div><dt><kbd>?</kbd></dt><dd>these keys</dd></div>
      </dl>
    </Dialog>
  );
}

/** "g" and a letter goes to a page, "/" to the search, "?" tells the keys. */
function useKeys(showKeys: () => void): void {
  useEffect(() => {
    let armed = 0;
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (document.querySelector('dialog[open]')) return;
      if (event.key === '?') showKeys();
      else if (event.key === '/') {
        const search = document.querySelector<HTMLElement>('[data-search]');
        if (!search) return;
        event.preventDefault();
        search.focus();
      } else if (event.key === 'g') armed = Date.now();
      else if (Date.now() - armed < 1500) {
        armed = 0;
        const entry = ENTRIES.find((each) => each.key === event.key);
        if (entry) location.hash = entry.path;
      }
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
}

export function Shell({ current, onSignOut, children }: { current: string; onSignOut: () => void; children: ComponentChildren }): VNode {
  const link = useFleet((state) => state.link);
  const narrow = useNarrow();
  const [keys, setKeys] = useState(false);
  const [more, setMore] = useState(false);
  useKeys(() => setKeys(true));
  useEffect(() => setMore(false), [current]);
  const below = narrow ? ENTRIES.slice(0, BELOW) : ENTRIES;
  const behind = narrow ? ENTRIES.slice(BELOW) : [];
  const nav = (
    <nav class={narrow ? 'nav-below' : 'nav'} aria-label="Main">
      {below.map((entry) => <NavLink key={entry.path} entry={entry} current={current} />)}
      {behind.length ? (
        <button type="button" class="plain" aria-expanded={more} aria-current={behind.some((entry) => entry.owns.includes(current)) ? 'page' : undefined} onClick={() => setMore(!more)}>
          <Icon name="more" /> <span>More</span>
        </button>
      ) : null}
      {more ? <div class="nav-more">{behind.map((entry) => <NavLink key={entry.path} entry={entry} current={current} />)}</div> : null}
    </nav>
  );
  return (
    <div class={`shell ${link === 'live' ? '' : 'not-live'}`}>
      <a class="skip" href="#main" onClick={(event) => {
        event.preventDefault();
        document.getElementById('main')?.focus();
      }}>To the content</a>
      <header class="top">
        <a class="brand" href="#/" aria-label="Selvedge, overview"><Logo /> <span>Selvedge</span></a>
        {narrow ? null : nav}
        <span class="spring" />
        <LinkWord />
        {narrow ? null : <button type="button" class="plain icon-only" aria-label="Keys" title="Keys" onClick={() => setKeys(true)}><kbd>?</kbd></button>}
        <ThemeSwitch />
        <button type="button" class="plain icon-only" aria-label="Sign out" title="Sign out" onClick={onSignOut}><Icon name="out" /></button>
      </header>
      <Banner />
      <main id="main" tabIndex={-1}>{children}</main>
      {narrow ? nav : null}
      <Keys open={keys} onClose={() => setKeys(false)} />
    </div>
  );
}
