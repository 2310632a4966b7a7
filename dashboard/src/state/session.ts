// A signed-in session: the client, the stream, and the store that they fill.

import { createContext } from 'preact';
import { useContext, useEffect, useState } from 'preact/hooks';

import { API, ApiError, Client, sentence } from '../api/client';
import { Stream } from '../api/stream';
import type { Application, Device, EventRecord, List, Overview, Site, StreamMessage } from '../api/types';
import { apply, live, lost, replaceAll, withGateways, without, type State, type Touched } from './reducer';
import { Store, useSelect } from './store';

const PROBE_MS = 5000;
/** Events that are fetched when the page is opened, and after a gap. */
const RECENT = 50;

export class Session {
  readonly store = new Store(Date.now());
  readonly client: Client;
  private readonly stream: Stream;
  /** Of the fetch under way; null when there is none. */
  private touched: Touched | null = null;
  private fetchAgain = false;
  private readonly retry = (): void => this.stream.retry();

  constructor(token: string, onUnauthorized: () => void) {
    this.client = new Client(token, () => {
      this.stop();
      onUnauthorized();
    });
    const url = new URL(`${API}/stream`, location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.hash = '';
    this.stream = new Stream(url.href, token, {
      opened: () => void this.fetchAll(),
      messages: (messages) => this.take(messages),
      lost: (wait) => void this.onLost(wait),
      probe: () => this.probe(),
    });
  }

  start(): void {
    addEventListener('online', this.retry);
    document.addEventListener('visibilitychange', this.retry);
    this.stream.start();
  }

  stop(): void {
    removeEventListener('online', this.retry);
    document.removeEventListener('visibilitychange', this.retry);
    this.stream.stop();
  }

  reconnect(): void {
    this.stream.retry();
  }

  forgetApplication(name: string): void {
    this.store.update((state) => without(state, name));
  }

  putApplications(applications: Application[]): void {
    const messages = applications.map((application): StreamMessage => ({ type: 'application', application }));
    this.store.update((state) => apply(state, messages, Date.now(), this.touched ?? undefined));
  }

  private take(messages: StreamMessage[]): void {
    this.store.update((state) => apply(state, messages, Date.now(), this.touched ?? undefined));
    if (messages.some((message) => message.type === 'gap')) void this.fetchAll();
  }

  private async fetchAll(): Promise<void> {
    if (this.touched) {
      this.fetchAgain = true;
      return;
    }
    const touched: Touched = { devices: new Set(), applications: new Set() };
    this.touched = touched;
    try {
      const [overview, devices, sites, applications, events] = await Promise.all([
        this.client.get<Overview>('/overview'),
        this.client.all<Device>('/devices'),
        this.client.all<Site>('/sites'),
        this.client.all<Application>('/applications'),
        this.client.get<List<EventRecord>>(`/events?order=desc&limit=${RECENT}`),
      ]);
      this.store.update((state) =>
        live(replaceAll(state, { overview, devices: withGateways(devices, sites), applications, events: events.items }, touched, Date.now()), Date.now()),
      );
      this.stream.settled();
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 401)) this.fail(error);
    } finally {
      this.touched = null;
    }
    if (this.fetchAgain) {
      this.fetchAgain = false;
      await this.fetchAll();
    }
  }

  /** The stream is open but a fetch failed: begin anew. */
  private fail(error: unknown): void {
    this.store.update((state) => lost(state, sentence(error), 0, Date.now()));
    this.stream.restart();
  }

  private async onLost(waitMs: number): Promise<void> {
    const retryAt = Date.now() + waitMs;
    this.store.update((state) => lost(state, state.linkReason, retryAt, Date.now()));
    // A refused socket does not say why. A request does, and a 401 leads to the form.
    try {
      await this.client.get<Overview>('/overview', PROBE_MS);
    } catch (error) {
      this.store.update((state) => (state.link === 'lost' ? { ...state, linkReason: sentence(error) } : state));
    }
  }

  private async probe(): Promise<boolean> {
    try {
      const overview = await this.client.get<Overview>('/overview', PROBE_MS);
      this.take([{ type: 'overview', overview }]);
      return true;
    } catch {
      return false;
    }
  }
}

export const SessionContext = createContext<Session | null>(null);

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (!session) throw new Error('used outside of a session');
  return session;
}

export function useFleet<T>(select: (state: State) => T): T {
  return useSelect(useSession().store, select);
}

/** The control plane's clock, read anew every `everyMs`. */
export function useNow(everyMs = 1000): number {
  const offset = useFleet((state) => Math.round(state.clockOffset / 500) * 500);
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now + offset;
}

export interface Loaded<T> {
  data: T | null;
  error: string;
  loading: boolean;
  reload(): void;
}

/**
 * Fetches when `key` changes, when everything was fetched anew, and every `everyMs` while the link is live.
 * What was fetched before stays until there is something newer.
 */
export function useFetched<T>(key: string, load: (client: Client) => Promise<T>, everyMs = 0): Loaded<T> {
  const session = useSession();
  const epoch = useFleet((state) => state.epoch);
  const isLive = useFleet((state) => state.link === 'live');
  const [turn, setTurn] = useState(0);
  const [result, setResult] = useState<{ key: string; data: T | null; error: string; loading: boolean }>({
    key,
    data: null,
    error: '',
    loading: true,
  });
  useEffect(() => {
    let current = true;
    setResult((old) => (old.key === key ? { ...old, loading: true } : { key, data: null, error: '', loading: true }));
    load(session.client).then(
      (data) => current && setResult({ key, data, error: '', loading: false }),
      (error: unknown) =>
        current && setResult((old) => ({ ...old, error: sentence(error), loading: false })),
    );
    return () => {
      current = false;
    };
  }, [key, epoch, turn, session]);
  useEffect(() => {
    if (!everyMs || !isLive) return;
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') setTurn((n) => n + 1);
    }, everyMs);
    return () => clearInterval(timer);
  }, [everyMs, isLive]);
  const fits = result.key === key;
  return {
    data: fits ? result.data : null,
    error: fits ? result.error : '',
    loading: fits ? result.loading : true,
    reload: () => setTurn((n) => n + 1),
  };
}
