// Requests to the control plane. Every failure becomes an ApiError whose message is one sentence that can be shown as it is.

import type { List } from './types';

export interface ErrorBody {
  code?: string;
  message?: string;
  file?: string;
  line?: number;
  key?: string;
}

export class ApiError extends Error {
  constructor(
    /** The HTTP status; 0 where no answer came. */
    readonly status: number,
    readonly body: ErrorBody,
  ) {
    super(body.message || `The control plane answered ${status}.`);
  }
}

export const API = './api/v1';

/** How long one request may take. Commands are answered by the control plane after 10 s at the latest. */
const REQUEST_MS = 15000;

/** Where a list is fetched page by page: no more pages than this, whatever the server says. */
const MAX_PAGES = 50;

async function errorOf(response: Response): Promise<ApiError> {
  let body: ErrorBody = {};
  try {
    const parsed = (await response.json()) as { error?: ErrorBody };
    if (parsed.error && typeof parsed.error === 'object') body = parsed.error;
  } catch {
    // Not our JSON: a proxy's page, or nothing. The status alone has to do.
  }
  return new ApiError(response.status, body);
}

function unreachable(error: unknown): ApiError {
  const late = error instanceof DOMException && error.name === 'TimeoutError';
  const message = late ? 'The control plane did not answer in time.' : 'The control plane cannot be reached.';
  return new ApiError(0, { code: 'UNAVAILABLE', message });
}

export class Client {
  constructor(
    private readonly token: string,
    private readonly onUnauthorized: () => void,
  ) {}

  async request(path: string, init: RequestInit & { timeoutMs?: number } = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set('Authorization', `Bearer ${this.token}`);
    let response: Response;
    try {
      // The limit covers the body too: a connection that dies in the middle must not leave a page waiting.
      const signal = AbortSignal.timeout(init.timeoutMs ?? REQUEST_MS);
      response = await fetch(API + path, { ...init, headers, signal, cache: 'no-store' });
    } catch (error) {
      throw unreachable(error);
    }
    if (response.ok) return response;
    const error = await errorOf(response);
    if (response.status === 401) this.onUnauthorized();
    throw error;
  }

  async get<T>(path: string, timeoutMs?: number): Promise<T> {
    const response = await this.request(path, timeoutMs === undefined ? {} : { timeoutMs });
    try {
      return (await response.json()) as T;
    } catch (error) {
      throw unreachable(error);
    }
  }

  async post(path: string, body: unknown): Promise<Response> {
    return this.request(path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
  }

  async remove(path: string): Promise<void> {
    await this.request(path, { method: 'DELETE' });
  }

  /** The whole of a list, page by page. */
  async all<T>(path: string): Promise<T[]> {
    const items: T[] = [];
    let after = '';
    for (let page = 0; page < MAX_PAGES; page++) {
      const query = new URLSearchParams({ limit: '1000' });
      if (after) query.set('after', after);
      const list = await this.get<List<T> | T[]>(`${path}?${query}`);
      if (Array.isArray(list)) return list;
      items.push(...list.items);
      if (!list.next) break;
      after = list.next;
    }
    return items;
  }
}

/** One sentence of whatever was thrown. */
export function sentence(error: unknown): string {
  if (error instanceof ApiError && error.status === 403 && !error.body.message) {
    return 'Your token does not allow this.';
  }
  return error instanceof Error ? error.message : String(error);
}

export const segment = encodeURIComponent;
