// What the screen is like.

import { useEffect, useState } from 'preact/hooks';

export function useMedia(query: string): boolean {
  const [matches, setMatches] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const look = (): void => setMatches(list.matches);
    look();
    list.addEventListener('change', look);
    return () => list.removeEventListener('change', look);
  }, [query]);
  return matches;
}

/** A phone, or a window as narrow as one: cards instead of tables. */
export const useNarrow = (): boolean => useMedia('(max-width: 720px)');

export type Theme = 'auto' | 'light' | 'dark';

const KEY = 'selvedge-theme';

export function theme(): Theme {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === 'light' || kept === 'dark' ? kept : 'auto';
  } catch {
    return 'auto'; // Storage may be forbidden; then the system decides.
  }
}

export function setTheme(value: Theme): void {
  try {
    if (value === 'auto') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, value);
  } catch {
    // Not kept for the next time.
  }
  document.documentElement.dataset['theme'] = value;
  dispatchEvent(new Event('selvedge-theme'));
}
