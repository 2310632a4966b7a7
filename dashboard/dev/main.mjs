// @ts-check
// `node dev/main.mjs [--size 3] [--port 8090] [--empty] [--vite] [--trouble]`: a fake control plane to work against.
// With --vite the dashboard is served from its sources and changes as they are edited.

import { FakeControlPlane } from './server.mjs';

/**
 * @param {string} name
 * @param {string} otherwise
 */
function option(name, otherwise) {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : (process.argv[at + 1] ?? otherwise);
}

const flag = (/** @type {string} */ name) => process.argv.includes(`--${name}`);

const size = Number(option('size', '3'));
const fake = new FakeControlPlane({ size, empty: flag('empty') });
if (flag('trouble')) {
  const [first, second, third] = fake.fleet.plain();
  if (first) fake.fleet.script('fail', first.name);
  if (second) fake.fleet.script('offline', second.name);
  if (third && size > 3) fake.fleet.script('stale', third.name);
}
const port = await fake.listen(Number(option('port', flag('vite') ? '0' : '8090')));
let address = `http://127.0.0.1:${port}/`;
if (flag('vite')) {
  const { createServer } = await import('vite');
  const api = { target: address, ws: true, changeOrigin: true };
  const vite = await createServer({ server: { port: Number(option('port', '8090')), proxy: { '/api': api } } });
  await vite.listen();
  address = vite.resolvedUrls?.local[0] ?? address;
}
console.log(`fake control plane of ${size} devices: ${address}#token=admin-token`);
