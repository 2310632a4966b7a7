// What the browser tests of the dashboard share: a browser, a control plane, and what is asked of every page.
//
// By default the control plane is the fake one of dashboard/dev. A real one is taken where these are set:
//   SELVEDGE_E2E_URL, SELVEDGE_E2E_TOKEN   its address, and an admin's token
//   SELVEDGE_E2E_DEVICE                    a device of it (default jetson-1)
//   SELVEDGE_E2E_MANIFEST                  a file with the manifest to apply (default: as the fake has it, for `hardware == jetson`)
//   SELVEDGE_E2E_CUT, SELVEDGE_E2E_MEND    commands that take the device from the network, and bring it back
// Tests that need something that is not there skip and say so.

import { execSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const require = createRequire(new URL('../../../dashboard/package.json', import.meta.url));
const { chromium } = require('playwright-core');

/** Waits are for conditions; this is when a condition counts as failed, on a machine that is busy. */
export const PATIENCE_MS = 60000;

const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

export const MANIFEST = `apiVersion: iofog.org/v3
kind: Application
metadata:
  name: night-watch
spec:
  microservices:
  - name: object-detector
    images:
      any: pipeline:safety/person-detector:1.0
  placements:
  - type: constraint
    key: hardware
    operator: ==
    value: jetson
`;

/** The control plane under test. `fake` is null for a real one. */
export async function startPlane(options = {}) {
  const url = process.env.SELVEDGE_E2E_URL;
  if (url) {
    const file = process.env.SELVEDGE_E2E_MANIFEST;
    const command = (name) => (process.env[name] ? () => execSync(process.env[name], { stdio: 'inherit' }) : null);
    return {
      url: url.endsWith('/') ? url : `${url}/`,
      token: process.env.SELVEDGE_E2E_TOKEN ?? '',
      device: process.env.SELVEDGE_E2E_DEVICE ?? 'jetson-1',
      manifest: file ? readFileSync(file, 'utf8') : MANIFEST,
      cut: command('SELVEDGE_E2E_CUT'),
      mend: command('SELVEDGE_E2E_MEND'),
      fake: null,
      close: () => undefined,
    };
  }
  const { FakeControlPlane } = await import('../../../dashboard/dev/server.mjs');
  const fake = new FakeControlPlane(options);
  const port = await fake.listen(0);
  const device = 'jetson-1';
  return {
    url: `http://127.0.0.1:${port}/`,
    token: 'admin-token',
    device,
    manifest: MANIFEST,
    cut: () => fake.fleet.script('offline', device),
    mend: () => fake.fleet.script('online', device),
    fake,
    close: () => fake.close(),
  };
}

/** A browser with a profile of its own, gone afterwards. */
export async function startBrowser(options = {}) {
  const profile = mkdtempSync(join(tmpdir(), 'selvedge-e2e-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.SELVEDGE_CHROMIUM ?? '/usr/bin/chromium',
    args: FLAGS,
    ignoreHTTPSErrors: true,
    viewport: { width: 1200, height: 900 },
    ...options,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  return {
    context,
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** A page that notes what must not happen: errors, refused content, requests to elsewhere. */
export async function openPage(context, plane) {
  const page = await context.newPage();
  const bad = [];
  const origin = new URL(plane.url).origin;
  page.on('pageerror', (error) => bad.push(`error: ${error.message}`));
  page.on('console', (message) => {
    // A refused or failed request is what some tests are about; everything else in red is a fault.
    if (message.type() === 'error' && !/Failed to load resource|WebSocket connection/.test(message.text())) bad.push(message.text());
  });
  page.on('request', (request) => {
    const to = request.url();
    if (!/^(blob|data):/.test(to) && new URL(to).origin !== origin) bad.push(`request to ${to}`);
  });
  return { page, bad };
}

/** Signs in by the address, and waits until the overview is live. */
export async function signIn(page, plane, token = plane.token) {
  await page.goto(`${plane.url}#token=${token}`);
  await page.locator('.link-word.live').waitFor();
}

export async function go(page, hash) {
  await page.evaluate((to) => { location.hash = to; }, hash);
}

/** Waits until `check` is true in the page. */
export function until(page, check, argument) {
  return page.waitForFunction(check, argument, { timeout: PATIENCE_MS, polling: 100 });
}

export function script(plane, ...path) {
  plane.fake.script(path, new URLSearchParams());
}

/**
 * Texts whose contrast with what is behind them is below WCAG AA: 4.5, or 3 for large type.
 * Runs in the page; colours may be any that the browser computes.
 */
export function lowContrast() {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 1;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const read = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const groundOf = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(read(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((ground, layer) => over(layer, ground), [255, 255, 255, 1]);
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height || style.clipPath !== 'none' || element.closest('[disabled], option, noscript')) continue;
    const inSvg = element instanceof SVGElement;
    const ground = inSvg ? groundOf(element.closest('svg').parentElement) : groundOf(element);
    const ink = over(read(inSvg ? style.fill : style.color), ground);
    const [high, low] = [light(ink), light(ground)].sort((a, b) => b - a);
    const contrast = (high + 0.05) / (low + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (contrast < (large ? 3 : 4.5)) found.push(`${contrast.toFixed(2)} "${node.textContent.trim().slice(0, 30)}" (${element.className || element.tagName})`);
  }
  return found;
}

/** Things to press or fill in that have no name for somebody who cannot see them. Runs in the page. */
export function nameless() {
  const found = [];
  for (const element of document.querySelectorAll('a, button, input, select, textarea, [role="img"], dialog')) {
    if (!element.checkVisibility()) continue;
    const label = element.labels?.[0]?.textContent ?? '';
    const name = element.getAttribute('aria-label') || element.getAttribute('title') || element.textContent.trim() || label.trim();
    if (!name) found.push(element.outerHTML.slice(0, 120));
  }
  const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
  for (const id of ids) if (ids.filter((each) => each === id).length > 1) found.push(`id "${id}" twice`);
  return found;
}
