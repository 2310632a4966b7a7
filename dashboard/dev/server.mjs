// @ts-check
// A fake control plane: HTTP, WebSocket and the dashboard's files, with the headers that the real one sends.
// `/fake/…` is for tests only: it makes devices fail, cuts the connection, and forgets tokens.

import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

import { WebSocketServer } from 'ws';

import { answer } from './api.mjs';
import { Fleet } from './fleet.mjs';

const DIST = fileURLToPath(new URL('../dist', import.meta.url));
const MAX_BODY = 1 << 20;

/** No inline script or style, no eval, nothing from elsewhere. */
export const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** @type {Record<string, string>} */
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml' };

/** Token → role. */
const TOKENS = new Map([['admin-token', 'admin'], ['operator-token', 'operator'], ['viewer-token', 'viewer']]);

/** @param {import('node:http').IncomingMessage} request */
async function bodyOf(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > MAX_BODY) return null;
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

export class FakeControlPlane {
  /** @param {{size?: number, empty?: boolean, dist?: string}} [options] */
  constructor({ size = 3, empty = false, dist = DIST } = {}) {
    this.dist = dist;
    this.cut = false;
    /** @type {Set<string>} */
    this.forgotten = new Set();
    this.fleet = this.make(size, empty);
    this.server = createServer((request, response) => void this.serve(request, response));
    this.sockets = new WebSocketServer({ noServer: true, handleProtocols: (set) => (set.has('selvedge.v1') ? 'selvedge.v1' : false) });
    this.server.on('upgrade', (request, socket, head) => {
      const offered = String(request.headers['sec-websocket-protocol'] ?? '');
      const token = /bearer\.([^,\s]+)/.exec(offered)?.[1] ?? '';
      if (this.cut || !this.role(token)) {
        socket.end(this.cut ? '' : 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
        return;
      }
      this.sockets.handleUpgrade(request, socket, head, (client) => {
        client.send(JSON.stringify({ type: 'hello', version: '0.2.0', role: this.role(token) }));
      });
    });
    this.timer = setInterval(() => this.fleet.tick(), 1000);
  }

  /**
   * @param {number} size
   * @param {boolean} [empty]
   */
  make(size, empty = false) {
    const fleet = new Fleet({ size, empty });
    fleet.on('message', (message) => this.send(message));
    return fleet;
  }

  /** @param {string} token */
  role(token) {
    return this.forgotten.has(token) ? undefined : TOKENS.get(token);
  }

  /** @param {unknown} message */
  send(message) {
    const text = JSON.stringify(message);
    for (const client of this.sockets?.clients ?? []) if (client.readyState === 1) client.send(text);
  }

  /**
   * @param {number} port 0 takes a free one
   * @returns {Promise<number>}
   */
  listen(port) {
    return new Promise((resolve) => {
      this.server.listen(port, '127.0.0.1', () => {
        const address = this.server.address();
        resolve(typeof address === 'object' && address ? address.port : port);
      });
    });
  }

  close() {
    clearInterval(this.timer);
    for (const client of this.sockets.clients) client.terminate();
    this.server.closeAllConnections?.();
    this.server.close();
  }

  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {import('node:http').ServerResponse} response
   */
  async serve(request, response) {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const path = url.pathname.split('/').filter(Boolean).map(decodeURIComponent);
    if (path[0] === 'fake') {
      this.script(path.slice(1), url.searchParams);
      response.end('{}');
      return;
    }
    if (this.cut) {
      response.destroy();
      return;
    }
    if (path[0] === 'api' && path[1] === 'v1') {
      await this.serveApi(request, response, path.slice(2), url.searchParams);
      return;
    }
    this.serveFile(url.pathname === '/' ? '/index.html' : url.pathname, response);
  }

  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {import('node:http').ServerResponse} response
   * @param {string[]} path
   * @param {URLSearchParams} query
   */
  async serveApi(request, response, path, query) {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    const role = this.role(token);
    const body = await bodyOf(request);
    /** @type {import('./api.mjs').Answer} */
    let result;
    if (!role) result = { status: 401, json: { error: { code: 'UNAUTHENTICATED', message: token ? 'The control plane does not know this token.' : 'A token is needed.' } } };
    else if (body === null) result = { status: 413, json: { error: { code: 'RESOURCE_EXHAUSTED', message: 'A manifest has at most 1 MiB.' } } };
    else result = answer(this.fleet, { method: request.method ?? 'GET', path, query, body, role });
    response.writeHead(result.status, { 'Content-Type': result.type ?? 'application/json', 'Cache-Control': 'no-store' });
    response.end(result.body ?? JSON.stringify(result.json));
  }

  /**
   * @param {string} pathname
   * @param {import('node:http').ServerResponse} response
   */
  serveFile(pathname, response) {
    const file = join(this.dist, normalize(pathname));
    if (!file.startsWith(this.dist) || !existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream', 'Content-Security-Policy': POLICY, 'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer', 'Cache-Control': 'no-cache' });
    createReadStream(file).pipe(response);
  }

  /**
   * @param {string[]} path
   * @param {URLSearchParams} query
   */
  script([what = '', name = ''], query) {
    if (what === 'cut') {
      this.cut = true;
      for (const client of this.sockets.clients) client.terminate();
    } else if (what === 'mend') this.cut = false;
    else if (what === 'forget') this.forgotten.add(name);
    else if (what === 'remember') this.forgotten.delete(name);
    else if (what === 'gap') this.send({ type: 'gap' });
    else if (what === 'reset') {
      this.fleet.removeAllListeners();
      this.fleet = this.make(Number(query.get('size') ?? 3), query.get('empty') === 'true');
    }
    else if (what === 'event') this.fleet.event(Date.now(), false);
    else if (what === 'silent') {
      // The fleet changes, and the stream says nothing of it: only a fetch will show it.
      const device = this.fleet.get(name);
      if (device) device.status = 'stale';
    } else this.fleet.script(what, name);
  }
}
