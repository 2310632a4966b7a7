// A list of which only the rows in sight exist: a thousand devices cost as much as thirty. Rows have one height.

import type { ComponentChildren, VNode } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

const MARGIN_ROWS = 8;

export interface Window {
  first: number;
  last: number;
}

/** Rows [first, last) that are in sight, with a margin, when the list's top is `above` pixels over the viewport's. Pure. */
export function inSight(count: number, rowHeight: number, above: number, viewport: number): Window {
  const first = Math.max(0, Math.min(count, Math.floor(above / rowHeight) - MARGIN_ROWS));
  const last = Math.min(count, Math.ceil((above + viewport) / rowHeight) + MARGIN_ROWS);
  return { first, last: Math.max(first, last) };
}

export interface VirtualProps<T> {
  items: readonly T[];
  rowHeight: number;
  keyOf: (item: T) => string;
  row: (item: T, index: number) => ComponentChildren;
  label: string;
  /** Columns' names, for the table's roles; none makes it a list. */
  columns?: ComponentChildren;
  class?: string;
}

/** Scrolls with the page. Up and Down go from row to row, Home and End to the ends. */
export function Virtual<T>({ items, rowHeight, keyOf, row, label, columns, class: name }: VirtualProps<T>): VNode {
  const body = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState<Window>({ first: 0, last: 40 });
  const wanted = useRef(-1);
  /** Of the row that has the focus. It stays while it is out of sight, so that keys go on working. */
  const held = useRef('');
  const hadFocus = body.current?.contains(document.activeElement) ?? false;

  // Moving a row within the document takes the focus from it.
  useLayoutEffect(() => {
    if (!hadFocus || document.activeElement !== document.body || wanted.current >= 0) return;
    const index = items.findIndex((item) => keyOf(item) === held.current);
    focusable(body.current, index)?.focus({ preventScroll: true });
  });

  useLayoutEffect(() => {
    const look = (): void => {
      if (!body.current) return;
      const next = inSight(items.length, rowHeight, -body.current.getBoundingClientRect().top, innerHeight);
      setSeen((old) => (old.first === next.first && old.last === next.last ? old : next));
    };
    look();
    addEventListener('scroll', look, { passive: true });
    addEventListener('resize', look);
    return () => {
      removeEventListener('scroll', look);
      removeEventListener('resize', look);
    };
  }, [items.length, rowHeight]);

  // A row that a key asked for exists only after scrolling there.
  useEffect(() => {
    if (wanted.current < 0) return;
    const target = focusable(body.current, wanted.current);
    if (target) {
      wanted.current = -1;
      target.focus({ preventScroll: true });
    }
  });

  const goTo = (index: number): void => {
    const element = body.current;
    if (!element || index < 0 || index >= items.length) return;
    const top = element.getBoundingClientRect().top + index * rowHeight;
    if (top < 160) scrollBy(0, top - 160);
    else if (top + rowHeight > innerHeight - 80) scrollBy(0, top + rowHeight - innerHeight + 80);
    const target = focusable(element, index);
    if (target) target.focus({ preventScroll: true });
    else wanted.current = index;
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    const at = event.target instanceof HTMLElement ? event.target.closest<HTMLElement>('[data-index]') : null;
    if (!at || event.ctrlKey || event.metaKey || event.altKey) return;
    const index = Number(at.dataset['index']);
    const moves: Record<string, number> = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: items.length - 1 };
    const next = moves[event.key];
    if (next === undefined) return;
    event.preventDefault();
    goTo(next);
  };

  const { first } = seen;
  const last = Math.min(seen.last, items.length);
  const table = columns !== undefined;
  const shown = items.slice(first, last).map((item, i) => ({ item, index: first + i }));
  if (hadFocus && held.current) {
    const index = items.findIndex((item) => keyOf(item) === held.current);
    const item = items[index];
    if (item !== undefined && (index < first || index >= last)) shown.push({ item, index });
  }
  return (
    <div class={`virtual ${name ?? ''}`} role={table ? 'table' : 'list'} aria-label={label} aria-rowcount={table ? items.length + 1 : undefined}>
      {table ? <div class="virtual-head" role="rowgroup"><div class="row" role="row" aria-rowindex={1}>{columns}</div></div> : null}
      <div
        ref={body}
        class="virtual-body"
        role={table ? 'rowgroup' : 'presentation'}
        style={{ height: `${items.length * rowHeight}px` }}
        onKeyDown={onKeyDown}
        onFocusIn={(event) => {
          held.current = (event.target as HTMLElement).closest<HTMLElement>('[data-key]')?.dataset['key'] ?? '';
        }}
      >
        {shown.map(({ item, index }) => (
          <div
            key={keyOf(item)}
            class="row"
            role={table ? 'row' : 'listitem'}
            aria-rowindex={table ? index + 2 : undefined}
            data-index={index}
            data-key={keyOf(item)}
            style={{ height: `${rowHeight}px`, transform: `translateY(${index * rowHeight}px)` }}
          >
            {row(item, index)}
          </div>
        ))}
      </div>
    </div>
  );
}

function focusable(body: HTMLElement | null, index: number): HTMLElement | null {
  return body?.querySelector<HTMLElement>(`[data-index="${index}"] :is(a, button)`) ?? null;
}
