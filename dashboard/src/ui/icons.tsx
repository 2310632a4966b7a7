// Icons as paths on a 20 by 20 grid. States differ by shape, so that they read without colour.

import type { ComponentChildren, VNode } from 'preact';

import type { Health } from '../state/fleet';

const PATHS: Record<string, string> = {
  home: 'M3 9.5 10 3l7 6.5M5 8.5V17h10V8.5M8.5 17v-5h3v5',
  devices: 'M3 4h14v9H3zM7 17h6M10 13v4',
  apps: 'M3.5 3.5h5.5v5.5H3.5zM11 3.5h5.5v5.5H11zM3.5 11h5.5v5.5H3.5zM11 13.75h5.5M13.75 11v5.5',
  events: 'M4 5h12M4 10h8M4 15h5M15 12v5M12.5 14.5h5',
  sites: 'M10 17.5s5.5-4.8 5.5-9a5.5 5.5 0 0 0-11 0c0 4.2 5.5 9 5.5 9zM10 6.5v4M8 8.5h4',
  registry: 'M3.5 6.5 10 3l6.5 3.5v7L10 17l-6.5-3.5zM3.5 6.5 10 10l6.5-3.5M10 10v7',
  tokens: 'M12.5 3.5a4 4 0 1 1-3.3 6.2L3.5 15.4V17h2.5v-1.7h1.7v-1.7h1.7l1-1M13.5 6.5h.01',
  sun: 'M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM10 2v1.5M10 16.5V18M2 10h1.5M16.5 10H18M4.3 4.3l1.1 1.1M14.6 14.6l1.1 1.1M4.3 15.7l1.1-1.1M14.6 5.4l1.1-1.1',
  moon: 'M16.5 11.5A7 7 0 1 1 8.5 3.5a5.5 5.5 0 0 0 8 8z',
  auto: 'M10 3a7 7 0 1 0 0 14zM10 3a7 7 0 0 1 0 14',
  out: 'M8 3.5H4v13h4M12.5 6.5 16 10l-3.5 3.5M16 10H8',
  search: 'M8.5 3.5a5 5 0 1 0 0 10 5 5 0 0 0 0-10zM12.2 12.2l4.3 4.3',
  copy: 'M7 7h9.5v9.5H7zM4 13H3.5V3.5H13V4',
  check: 'm4 10.5 4 4 8-9',
  more: 'M5 10h.01M10 10h.01M15 10h.01',
  download: 'M10 3v9.5M6 9l4 4 4-4M3.5 16.5h13',
  upload: 'M10 13V3.5M6 7l4-4 4 4M3.5 16.5h13',
  play: 'M6 4l10 6-10 6z',
  pause: 'M6.5 4v12M13.5 4v12',
  camera: 'M3 6.5h3.5L8 4.5h4l1.5 2H17v9H3zM10 8.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z',
  restart: 'M16 10a6 6 0 1 1-2-4.5M16.5 3v3.5H13',
  bin: 'M4 5.5h12M8 5.5V3.5h4v2M5.5 5.5l.7 11h7.6l.7-11M8.5 8.5v5M11.5 8.5v5',
  plus: 'M10 4v12M4 10h12',
  close: 'M5 5l10 10M15 5 5 15',
  up: 'm5 12 5-5 5 5',
  down: 'm5 8 5 5 5-5',
  left: 'm12 5-5 5 5 5',
  right: 'm8 5 5 5-5 5',
  warning: 'M10 3 18 16.5H2zM10 8v4M10 14.3h.01',
  error: 'M7 2.5h6L17.5 7v6L13 17.5H7L2.5 13V7zM10 6v5M10 13.8h.01',
  link: 'M7 10h6M5 8a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM15 8a2 2 0 1 0 0 4 2 2 0 0 0 0-4z',
  unlink: 'M5 8a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM15 8a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM8.5 8.5l3 3M11.5 8.5l-3 3',
};

export function Icon({ name, size = 18 }: { name: keyof typeof PATHS | string; size?: number }): VNode {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name] ?? ''} />
    </svg>
  );
}

const MARKS: Record<Health, ComponentChildren> = {
  online: (
    <>
      <circle class="solid" cx="8" cy="8" r="7" />
      <path class="cut" d="m4.8 8.3 2.2 2.2 4.2-4.7" />
    </>
  ),
  failing: (
    <>
      <path class="solid" d="M8 .8 15.7 14.6H.3z" />
      <path class="cut" d="M8 5.5v4.2M8 12.2h.01" />
    </>
  ),
  offline: (
    <>
      <rect class="solid" x="1" y="1" width="14" height="14" rx="2" />
      <path class="cut" d="m5 5 6 6M11 5l-6 6" />
    </>
  ),
  unreachable: (
    <>
      <circle class="ring dashed" cx="8" cy="8" r="6.5" />
      <path class="line" d="M6.2 6.3A1.9 1.9 0 1 1 8 8.6v.9M8 11.6h.01" />
    </>
  ),
  stale: (
    <>
      <circle class="ring" cx="8" cy="8" r="6.5" />
      <path class="line" d="M8 4.3V8l2.5 1.7" />
    </>
  ),
  never: <circle class="ring dotted" cx="8" cy="8" r="6.5" />,
};

export const HEALTH_WORDS: Record<Health, string> = {
  online: 'online',
  failing: 'failing',
  offline: 'offline',
  unreachable: 'unreachable',
  stale: 'stale',
  never: 'not heard yet',
};

export function HealthMark({ health, bare = false }: { health: Health; bare?: boolean }): VNode {
  return (
    <span class={`health ${health}`} title={bare ? HEALTH_WORDS[health] : undefined}>
      <svg
        class="mark"
        width="15"
        height="15"
        viewBox="0 0 16 16"
        role={bare ? 'img' : undefined}
        aria-label={bare ? HEALTH_WORDS[health] : undefined}
        aria-hidden={bare ? undefined : true}
      >
        {MARKS[health]}
      </svg>
      {bare ? null : <span>{HEALTH_WORDS[health]}</span>}
    </span>
  );
}

const STATE_HEALTH: Record<string, Health> = {
  running: 'online',
  failing: 'failing',
  refused: 'failing',
  stopped: 'never',
};

/** The state of a service: running, failing, refused, or on its way there; `of` gives the mark where the words differ. */
export function StateMark({ state, of = state }: { state: string; of?: string }): VNode {
  const health = STATE_HEALTH[of] ?? 'stale';
  return (
    <span class={`health ${health}`}>
      <svg class="mark" width="15" height="15" viewBox="0 0 16 16" aria-hidden="true">
        {MARKS[health]}
      </svg>
      <span>{state || 'unknown'}</span>
    </span>
  );
}

export function Logo(): VNode {
  return (
    <svg class="logo" width="28" height="28" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="#1d2b4f" />
      <rect x="21" width="6" height="32" fill="#f6f4ee" />
      <path d="M24 0v32" stroke="#d2232f" stroke-width="2" stroke-dasharray="3 2" />
      <path d="M5 22 9 10l4 12 4-12" fill="none" stroke="#f6f4ee" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}
