// What a person does with the dashboard: sign in, apply, watch a device go and come back, read an event.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';

import { go, openPage, script, signIn, startBrowser, startPlane, until } from './support.mjs';

let plane;
let browser;
let page;
let bad;

before(async () => {
  plane = await startPlane();
  browser = await startBrowser();
  ({ page, bad } = await openPage(browser.context, plane));
});

after(async () => {
  await browser?.close();
  plane?.close();
});

const fakeOnly = () => (plane.fake ? false : 'needs the fake control plane');

describe('signing in', () => {
  test('without a token there is a form; a wrong one gets a sentence, the right one the overview', async () => {
    await page.goto(plane.url);
    await page.getByLabel('Token').fill('wrong');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').waitFor();
    assert.match(await page.getByRole('alert').textContent(), /token/i);
    await page.getByLabel('Token').fill(plane.token);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Token').waitFor();
    assert.equal(await page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage })), '{}');
  });

  test('a token in the address is taken out of it and of the history, and survives a reload', async () => {
    await signIn(page, plane);
    assert.equal(await page.evaluate(() => location.href.includes('token')), false);
    await page.reload();
    await page.locator('.link-word.live').waitFor();
    await go(page, '#/devices');
    await page.getByRole('heading', { name: 'Fleet' }).waitFor();
    await page.goBack();
    assert.equal(await page.evaluate(() => location.href.includes('token')), false);
  });

  test('a token that is withdrawn brings the form back, with a sentence', async (t) => {
    if (fakeOnly()) return t.skip(fakeOnly());
    script(plane, 'forget', plane.token);
    script(plane, 'gap');
    await page.getByLabel('Token').waitFor();
    assert.match(await page.getByRole('alert').textContent(), /not accepted any more/);
    script(plane, 'remember', plane.token);
    await signIn(page, plane);
  });
});

describe('deploying', () => {
  const name = (manifest) => /name:\s*(\S+)/.exec(manifest)[1];

  test('a mistake is marked at its line, and nothing is applied', async () => {
    await go(page, '#/apply');
    const editor = page.getByLabel('Manifest');
    await editor.fill(plane.manifest.replace('operator: ==', 'operator: ~~'));
    await page.getByRole('button', { name: 'Dry run' }).click();
    const line = plane.manifest.split('\n').findIndex((text) => text.includes('operator: ==')) + 1;
    await page.getByRole('button', { name: `Line ${line}` }).waitFor();
    assert.match(await page.locator('.gutter .wrong').textContent(), new RegExp(`${line}$`));
    assert.equal(await editor.getAttribute('aria-invalid'), 'true');
  });

  test('a dry run tells device by device, and changes nothing', async () => {
    await page.getByLabel('Manifest').fill(plane.manifest);
    await page.getByRole('button', { name: 'Dry run' }).click();
    await page.getByText('Dry run: nothing was changed.').waitFor();
    await page.getByText(/must be jetson/).first().waitFor();
    await go(page, '#/applications');
    await page.getByRole('heading', { name: 'Deployments' }).waitFor();
    assert.equal(await page.locator('a.tile', { hasText: name(plane.manifest) }).count(), 0);
  });

  test('applied, it can be watched until it runs', async () => {
    await go(page, '#/apply');
    await page.getByLabel('Manifest').fill(plane.manifest);
    await page.getByRole('button', { name: 'Apply', exact: true }).click();
    await page.getByRole('link', { name: `Watch ${name(plane.manifest)}` }).click();
    await page.getByRole('heading', { name: name(plane.manifest), level: 1 }).waitFor();
    await page.locator('.row', { hasText: plane.device }).getByText('running').waitFor();
  });

  test('deleting asks first', async () => {
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('heading', { name: name(plane.manifest), level: 1 }).waitFor();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('button', { name: 'Delete the application' }).click();
    await page.getByRole('heading', { name: 'Deployments' }).waitFor();
    await until(page, (gone) => !document.body.textContent.includes(gone), name(plane.manifest));
  });

  test('a viewer is told that it may not', async (t) => {
    if (fakeOnly()) return t.skip(fakeOnly());
    await signIn(page, plane, 'viewer-token');
    await go(page, '#/apply');
    await page.getByLabel('Manifest').fill(plane.manifest);
    await page.getByRole('button', { name: 'Apply', exact: true }).click();
    await page.getByText(/needs the role operator/).waitFor();
    await signIn(page, plane);
  });
});

describe('watching', () => {
  test('a device goes offline and comes back', async (t) => {
    if (!plane.cut || !plane.mend) return t.skip('SELVEDGE_E2E_CUT and SELVEDGE_E2E_MEND are not set');
    await go(page, '#/');
    plane.cut();
    const trouble = page.getByRole('region', { name: 'Trouble' }).getByRole('link', { name: plane.device });
    await trouble.first().waitFor({ timeout: 120000 });
    await page.locator('[data-box="devices"].error').waitFor();
    await trouble.first().click();
    await page.getByRole('heading', { name: plane.device, level: 1 }).waitFor();
    await page.locator('.verdict .health.offline').waitFor();
    await page.locator('.live-scope.old').first().waitFor();
    plane.mend();
    await page.locator('.verdict .health.online').waitFor({ timeout: 120000 });
    await go(page, '#/');
    await page.locator('[data-box="devices"].ok').waitFor();
  });

  test('an event arrives, is read, and is exported as it is filtered', async () => {
    await go(page, '#/');
    const newest = page.locator('.ticker li a').first();
    await newest.waitFor();
    const seen = await newest.getAttribute('href');
    await until(page, (old) => document.querySelector('.ticker li a')?.getAttribute('href') !== old, seen);
    await page.locator('.ticker li a').first().click();
    await page.getByRole('img', { name: /Boxes in a picture of/ }).waitFor();
    assert.ok(await page.locator('.frame-box').count() > 0);
    await page.getByText('Why', { exact: true }).waitFor();
    const device = await page.locator('.fact', { hasText: 'Device' }).getByRole('link').textContent();

    await go(page, `#/events?device=${device}`);
    await page.locator('.event-table .virtual-body .row').first().waitFor();
    const others = await page.locator('.event-table .c-device').allTextContents();
    assert.deepEqual([...new Set(others.slice(1))], [device]);
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'CSV' }).click()]);
    const [head, ...rows] = readFileSync(await download.path(), 'utf8').trim().split('\r\n');
    assert.match(head, /^id,captured/);
    const column = head.split(',').indexOf('device');
    assert.ok(rows.length > 0 && rows.every((row) => row.split(',')[column] === device));
  });

  test('logs are read on request', async () => {
    await go(page, `#/devices/${plane.device}`);
    await page.getByRole('button', { name: 'Logs' }).first().click();
    await page.locator('dialog pre.log').waitFor();
    assert.ok((await page.locator('dialog pre.log').textContent()).length > 10);
    await page.keyboard.press('Escape');
    await until(page, () => !document.querySelector('dialog[open]'));
  });

  test('a picture that the privacy policy keeps is explained; one that it allows is shown', async (t) => {
    if (fakeOnly()) return t.skip(fakeOnly());
    await page.getByRole('button', { name: 'Picture' }).click();
    await page.getByText('Pictures stay on this device.').waitFor();
    await page.getByRole('button', { name: 'Close' }).click();
    await go(page, '#/devices/x86-1');
    await page.getByRole('heading', { name: 'x86-1', level: 1 }).waitFor();
    await page.getByRole('button', { name: 'Picture' }).click();
    await page.getByText(/^taken /).waitFor();
    const size = await page.locator('canvas.picture').evaluate((canvas) => [canvas.width, canvas.height]);
    assert.deepEqual(size, [96, 72]);
    await page.getByRole('button', { name: 'Close' }).click();
  });

  test('a join token is shown once, with the command to paste', async () => {
    await go(page, '#/tokens');
    await page.getByLabel('Site').fill('plant-1');
    await page.getByLabel('Hardware label').fill('jetson');
    await page.getByRole('button', { name: 'Make a join token' }).click();
    const command = page.locator('.made code');
    await command.waitFor();
    assert.match(await command.textContent(), /^selvedge agent --join slv1\.\S+ --label hardware=jetson$/);
    await page.getByRole('button', { name: 'Done' }).click();
    assert.equal(await page.getByText('slv1.').count(), 0);
  });
});

describe('losing the connection', () => {
  test('a banner says so, numbers are grey with their age, nothing is called live; then all is well again', async (t) => {
    if (fakeOnly()) return t.skip(fakeOnly());
    await go(page, '#/');
    await page.locator('.box .num').first().waitFor();
    const colour = () => page.locator('[data-box="devices"] b.num').evaluate((element) => getComputedStyle(element).color);
    const lively = await colour();
    script(plane, 'cut');
    await page.locator('.banner').waitFor();
    assert.match(await page.locator('.banner').textContent(), /No connection to the control plane.*All numbers are of \d\d:\d\d:\d\d/s);
    assert.notEqual(await colour(), lively);
    assert.equal(await page.locator('.flow-pulse').count(), 0);
    assert.match(await page.locator('.link-word').textContent(), /not connected/);
    await go(page, '#/events');
    await page.getByText('not live').waitFor();
    plane.fake.script(['mend'], new URLSearchParams());
    await page.getByRole('button', { name: /Try now/ }).click();
    await page.locator('.link-word.live').waitFor();
    assert.equal(await page.locator('.banner').count(), 0);
  });

  test('after a gap everything is fetched anew', async (t) => {
    if (fakeOnly()) return t.skip(fakeOnly());
    await go(page, '#/devices/pi-1');
    await page.locator('.verdict .health.online').waitFor();
    script(plane, 'silent', 'pi-1');
    script(plane, 'gap');
    await page.locator('.verdict .health.stale').waitFor();
    plane.fake.fleet.script('online', 'pi-1');
  });
});

test('nothing went wrong on the way: no error, nothing refused by the policy, no request to elsewhere', () => {
  assert.deepEqual(bad, []);
});
