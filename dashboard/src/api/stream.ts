// The WebSocket of the control plane: opens it, opens it again with backoff, and notices when it is silent for too long.

import type { StreamMessage } from './types';

/** Messages that wait to be shown; a page in the background that cannot keep up fetches anew instead. */
export const MAX_WAITING = 5000;
const FLUSH_MS = 100;
/** After so long a silence somebody asks whether the control plane is still there. */
export const SILENCE_MS = 8000;
const OPEN_MS = 20000;

/** Wait before attempt n (from 0): doubles from 0.5 s to 15 s, a third of it by chance. */
export function backoff(attempt: number, random: number): number {
  const whole = Math.min(15000, 500 * 2 ** Math.min(attempt, 10));
  return Math.round(whole * (2 / 3 + random / 3));
}

export function parseMessage(data: unknown): StreamMessage | null {
  if (typeof data !== 'string') return null;
  try {
    const message = JSON.parse(data) as StreamMessage;
    return message && typeof message === 'object' && typeof message.type === 'string' ? message : null;
  } catch {
    return null;
  }
}

export interface StreamHandlers {
  /** The socket is open: fetch everything. */
  opened(): void;
  messages(messages: StreamMessage[]): void;
  /** Closed or never opened; the next attempt starts in `waitMs`. */
  lost(waitMs: number): void;
  /** Nothing was heard for SILENCE_MS: answers whether the control plane is there. */
  probe(): Promise<boolean>;
}

export class Stream {
  private socket: WebSocket | null = null;
  private waiting: StreamMessage[] = [];
  private flushTimer = 0;
  private timer = 0;
  private silence = 0;
  private attempt = 0;
  private stopped = false;

  constructor(
    private readonly url: string,
    private readonly token: string,
    private readonly handlers: StreamHandlers,
  ) {}

  start(): void {
    this.stopped = false;
    this.open();
  }

  stop(): void {
    this.stopped = true;
    this.drop();
    clearTimeout(this.timer);
  }

  /** Tries at once instead of waiting. */
  retry(): void {
    if (this.stopped || this.socket) return;
    clearTimeout(this.timer);
    this.open();
  }

  /** Gives the socket up and begins anew after a wait. */
  restart(): void {
    this.drop();
    this.again();
  }

  /** Everything was fetched: the next loss begins with short waits again. */
  settled(): void {
    this.attempt = 0;
  }

  private open(): void {
    let socket: WebSocket;
    try {
      socket = new WebSocket(this.url, ['selvedge.v1', `bearer.${this.token}`]);
    } catch {
      this.again(); // A token with characters that no subprotocol may have; the fetch that follows says so.
      return;
    }
    this.socket = socket;
    const late = setTimeout(() => socket.close(), OPEN_MS);
    socket.onopen = () => {
      clearTimeout(late);
      if (this.socket !== socket) return;
      this.listen();
      this.handlers.opened();
    };
    socket.onmessage = (event) => {
      if (this.socket !== socket) return;
      this.listen();
      const message = parseMessage(event.data);
      if (message) this.take(message);
    };
    socket.onclose = () => {
      clearTimeout(late);
      if (this.socket !== socket) return;
      this.drop();
      this.again();
    };
  }

  private take(message: StreamMessage): void {
    if (this.waiting.length >= MAX_WAITING) this.waiting = [{ type: 'gap' }];
    this.waiting.push(message);
    if (!this.flushTimer) this.flushTimer = window.setTimeout(() => this.flush(), FLUSH_MS);
  }

  private flush(): void {
    this.flushTimer = 0;
    const messages = this.waiting;
    this.waiting = [];
    if (messages.length) this.handlers.messages(messages);
  }

  private listen(): void {
    clearTimeout(this.silence);
    this.silence = window.setTimeout(() => void this.ask(), SILENCE_MS);
  }

  private async ask(): Promise<void> {
    const socket = this.socket;
    const there = await this.handlers.probe();
    if (this.socket !== socket || !socket) return;
    if (there) {
      this.listen();
      return;
    }
    this.drop();
    this.again();
  }

  private drop(): void {
    const socket = this.socket;
    this.socket = null;
    clearTimeout(this.silence);
    clearTimeout(this.flushTimer);
    this.flushTimer = 0;
    this.waiting = [];
    socket?.close();
  }

  private again(): void {
    if (this.stopped) return;
    const wait = backoff(this.attempt++, Math.random());
    this.timer = window.setTimeout(() => this.open(), wait);
    this.handlers.lost(wait);
  }
}
