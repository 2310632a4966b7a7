// What is asked of every page: readable in light and dark, on a phone, by keyboard alone, with a thousand devices.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { go, lowContrast, nameless, openPage, script, signIn, startBrowser, startPlane, until } from './support.mjs';

let plane;
let browser;
let page;
let bad;

before(async () => {
  plane = await startPlane();
  if (plane.fake) {
    plane.fake.fleet.script('fail', 'x86-1');
    plane.fake.fleet.script('stale', 'pi-1');
  }
  browser = await startBrowser();
  ({ page, bad } = await openPage(browser.context, plane));
  await signIn(page, plane);
});

after(async () => {
  await browser?.close();
  plane?.close();
});

const pages = () => [
  ['#/', 'Overview'],
  ['#/devices', 'Fleet'],
  [`#/devices/${plane.device}`, plane.device],
  ['#/devices/nobody', 'nobody'],
  ['#/applications', 'Deployments'],
  ['#/apply', 'Apply a manifest'],
  ['#/events', 'Events'],
  ['#/sites', 'Sites'],
  ['#/packages', 'Registry'],
  ['#/tokens', 'Tokens'],
  ['#/inference', 'Local inference'],
  ['#/cloud', 'Cloud'],
  ['#/parts/training', 'Training'],
  ['#/nowhere/at-all', 'Not found'],
];

async function visit([hash, title]) {
  await go(page, hash);
  await page.getByRole('heading', { name: title, level: 1, exact: true }).waitFor();
  await until(page, () => !document.querySelector('.loading'));
}

for (const scheme of ['light', 'dark']) {
  test(`every text has the contrast of WCAG AA, and everything has a name: ${scheme}`, async () => {
    await page.emulateMedia({ colorScheme: scheme });
    for (const each of pages()) {
      await visit(each);
      assert.deepEqual(await page.evaluate(lowContrast), [], `${each[0]} in ${scheme}`);
      assert.deepEqual(await page.evaluate(nameless), [], each[0]);
    }
  });
}

test('the banner and grey numbers of a lost connection are readable too', async (t) => {
  if (!plane.fake) return t.skip('needs the fake control plane');
  await visit(['#/', 'Overview']);
  script(plane, 'cut');
  await page.locator('.banner').waitFor();
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme });
    assert.deepEqual(await page.evaluate(lowContrast), [], scheme);
  }
  script(plane, 'mend');
  // It may have come back by itself meanwhile, and then there is no button.
  await page.getByRole('button', { name: /Try now/ }).click({ timeout: 5000 }).catch(() => {});
  await page.locator('.link-word.live').waitFor();
});

test('the switch overrules the system, and is remembered', async () => {
  await page.emulateMedia({ colorScheme: 'light' });
  const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await ground();
  const button = page.locator('[data-theme-switch]');
  await button.click();
  await button.click();
  assert.notEqual(await ground(), light);
  await page.reload();
  await page.locator('.link-word.live').waitFor();
  assert.notEqual(await ground(), light);
  await page.locator('[data-theme-switch]').click();
  assert.equal(await ground(), light);
});

test('who wants less motion sees none', async () => {
  await page.emulateMedia({ reducedMotion: 'reduce' });
  await visit(['#/', 'Overview']);
  assert.equal(await page.evaluate(() => document.getAnimations().filter((a) => a.playState === 'running').length), 0);
  await page.emulateMedia({ reducedMotion: 'no-preference' });
});

describe('on a phone of 390 pixels', () => {
  before(() => page.setViewportSize({ width: 390, height: 844 }));
  after(() => page.setViewportSize({ width: 1200, height: 900 }));

  test('no page is wider than the screen, and nothing is cut off at its edge', async () => {
    for (const each of pages()) {
      await visit(each);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${each[0]} is ${wide} pixels too wide`);
      const cut = await page.evaluate(() => [...document.querySelectorAll('.flow-label, .box')]
        .filter((element) => element.getBoundingClientRect().left < 0 || element.getBoundingClientRect().right > innerWidth)
        .map((element) => element.textContent));
      assert.deepEqual(cut, [], each[0]);
    }
  });

  test('the diagram’s boxes hold what they say', async () => {
    await visit(['#/', 'Overview']);
    const over = await page.evaluate(() => [...document.querySelectorAll('.box')]
      .filter((box) => box.scrollHeight > box.clientHeight + 1 || box.scrollWidth > box.clientWidth + 1)
      .map((box) => box.dataset.box));
    assert.deepEqual(over, []);
  });

  test('everything can be reached from the bar below', async () => {
    await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Fleet' }).click();
    await page.getByRole('heading', { name: 'Fleet', level: 1 }).waitFor();
    await page.getByRole('button', { name: 'More' }).click();
    await page.getByRole('link', { name: 'Registry' }).click();
    await page.getByRole('heading', { name: 'Registry', level: 1 }).waitFor();
  });
});

describe('by keyboard alone', () => {
  const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() ?? '');

  test('the way to a device and its logs, without the mouse', async () => {
    await visit(['#/', 'Overview']);
    await page.keyboard.press('g');
    await page.keyboard.press('f');
    await page.getByRole('heading', { name: 'Fleet', level: 1 }).waitFor();
    // The page has its heading a moment before it hears keys.
    const typing = () => page.evaluate(() => document.activeElement?.tagName === 'INPUT');
    for (let i = 0; i < 40 && !(await typing()); i++) {
      await page.keyboard.press('/');
      await page.waitForTimeout(50);
    }
    await page.keyboard.type(plane.device);
    await until(page, (name) => {
      const rows = [...document.querySelectorAll('.virtual-body .row')];
      return rows.length > 0 && rows.every((row) => row.textContent.includes(name));
    }, plane.device);
    for (let i = 0; i < 40 && (await focused()) !== plane.device; i++) await page.keyboard.press('Tab');
    assert.equal(await focused(), plane.device);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: plane.device, level: 1 }).waitFor();
    for (let i = 0; i < 60 && (await focused()) !== 'Logs'; i++) await page.keyboard.press('Tab');
    assert.equal(await focused(), 'Logs');
    await page.keyboard.press('Enter');
    await page.locator('dialog[open]').waitFor();
    await page.keyboard.press('Escape');
    await until(page, () => !document.querySelector('dialog[open]'));
    assert.equal(await focused(), 'Logs', 'the focus comes back to where it was');
  });

  test('what has the focus can be seen, and the first stop skips to the content', async () => {
    await page.reload();
    await page.locator('.link-word.live').waitFor();
    await visit(['#/devices', 'Fleet']);
    await page.evaluate(() => { document.activeElement?.blur(); });
    await page.locator('body').press('Tab');
    for (let i = 0; i < 12; i++) {
      const look = await page.evaluate(() => {
        const style = getComputedStyle(document.activeElement);
        return { what: document.activeElement.outerHTML.slice(0, 80), style: style.outlineStyle, width: parseFloat(style.outlineWidth) };
      });
      assert.ok(look.style !== 'none' && look.width >= 2, `no ring around ${look.what}`);
      await page.keyboard.press('Tab');
    }
  });

  test('up, down, home and end go through a list', async () => {
    await visit(['#/events', 'Events']);
    await page.locator('.event-table .row a').first().focus();
    const at = () => page.evaluate(() => Number(document.activeElement.closest('[data-index]')?.dataset.index));
    const first = await at();
    await page.keyboard.press('ArrowDown');
    assert.equal(await at(), first + 1);
    await page.keyboard.press('End');
    await until(page, () => Number(document.activeElement.closest('[data-index]')?.dataset.index) > 20);
    await page.keyboard.press('Home');
    await until(page, () => Number(document.activeElement.closest('[data-index]')?.dataset.index) === 0);
  });

  test('? tells the keys', async () => {
    await page.evaluate(() => { document.activeElement?.blur(); });
    await page.keyboard.press('?');
    await page.getByRole('heading', { name: 'Keys' }).waitFor();
    await page.keyboard.press('Escape');
  });
});

describe('a thousand devices', () => {
  let large;
  let other;
  before(async () => {
    if (!plane.fake) return;
    large = await startPlane({ size: 1000 });
    large.fake.fleet.script('fail', 'jetson-600');
    ({ page: other } = await openPage(browser.context, large));
    await signIn(other, large);
  });
  after(async () => {
    await other?.close();
    large?.close();
  });

  test('are all there, and only those in sight are drawn', async (t) => {
    if (!large) return t.skip('needs the fake control plane');
    await go(other, '#/devices');
    await other.getByText('1000 devices', { exact: true }).waitFor();
    assert.ok((await other.locator('.fleet-table .virtual-body .row').count()) < 80);
    assert.match(await other.locator('.fleet-table .virtual-body .row').first().textContent(), /failing.*jetson-600/);
    await other.locator('.fleet-table .row a').first().focus();
    await other.keyboard.press('End');
    await until(other, () => Number(document.activeElement.closest('[data-index]')?.dataset.index) === 999);
  });

  test('are found by typing', async (t) => {
    if (!large) return t.skip('needs the fake control plane');
    await other.keyboard.press('/');
    await other.keyboard.type('hardware=x86 site-7');
    await until(other, () => / of 1000 devices/.test(document.querySelector('.result-count').textContent));
    const rows = await other.locator('.fleet-table .virtual-body .row').allTextContents();
    assert.ok(rows.length > 0 && rows.every((row) => row.includes('x86') && row.includes('site-7')));
    assert.match(await other.evaluate(() => location.hash), /text=hardware/);
  });

  test('the overview says which one is failing', async (t) => {
    if (!large) return t.skip('needs the fake control plane');
    await go(other, '#/');
    await other.getByRole('link', { name: /jetson-600/ }).waitFor();
    assert.match(await other.locator('[data-box="devices"]').textContent(), /1 failing/);
  });
});

test('an empty fleet says what to do first', async (t) => {
  if (!plane.fake) return t.skip('needs the fake control plane');
  const empty = await startPlane({ empty: true });
  const { page: other } = await openPage(browser.context, empty);
  await signIn(other, empty);
  await other.getByRole('link', { name: 'Join the first device' }).waitFor();
  for (const [hash, text] of [['#/devices', 'No device has joined yet'], ['#/applications', 'Nothing is deployed'], ['#/events', 'No event has arrived yet'], ['#/sites', 'There is no site yet'], ['#/packages', 'The registry is empty'], ['#/inference', 'No pipeline runs yet']]) {
    await go(other, hash);
    await other.getByText(text).waitFor();
  }
  await other.close();
  empty.close();
});

test('nothing went wrong on the way: no error, nothing refused by the policy, no request to elsewhere', () => {
  assert.deepEqual(bad, []);
});
