// One value that components watch. A component is drawn again only when what it selected has changed.

import { useEffect, useRef, useState } from 'preact/hooks';

import { initial, type State } from './reducer';

export class Store {
  private readonly listeners = new Set<() => void>();
  private value: State;

  constructor(now: number) {
    this.value = initial(now);
  }

  get state(): State {
    return this.value;
  }

  update(change: (state: State) => State): void {
    const next = change(this.value);
    if (next === this.value) return;
    this.value = next;
    for (const listener of [...this.listeners]) listener();
  }

  watch(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

export function useSelect<T>(store: Store, select: (state: State) => T): T {
  const [, redraw] = useState(0);
  const value = select(store.state);
  const latest = useRef({ select, value });
  latest.current = { select, value };
  useEffect(() => {
    const check = (): void => {
      if (!Object.is(latest.current.select(store.state), latest.current.value)) redraw((n) => n + 1);
    };
    check(); // It may have changed between drawing and watching.
    return store.watch(check);
  }, [store]);
  return value;
}
