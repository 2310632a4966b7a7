// Runs browser tests against a real fleet: node fleet.mjs SELVEDGE TEST...
// SELVEDGE is the executable; `selvedge demo --keep` starts a control plane, a gateway and three devices for them.
// A device is taken from the network by stopping its agent: the site's broker hears nothing more of it, as when a cable is pulled.

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const START_MS = 120000;
const STOP_MS = 30000;
const DEVICE = 'jetson-1';

const [selvedge, ...tests] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'selvedge-fleet-'));

/** The demo, and the address that it prints once everything is up. */
function startDemo() {
  const demo = spawn(selvedge, ['demo', '--keep', '--port', '0', '--seconds', '4', '--outage', '1', '--state', join(folder, 'fleet')], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  const ready = new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`the demo is not up after ${START_MS / 1000} s; it said:\n${said}`)), START_MS);
    const read = (chunk) => {
      said += chunk;
      const found = /Ctrl-C: (http:\S+)\/#token=(\S+)/.exec(said);
      if (!found) return;
      clearTimeout(late);
      resolve({ url: found[1], token: found[2] });
    };
    demo.stdout.on('data', read);
    demo.stderr.on('data', read);
    demo.on('exit', (code) => {
      clearTimeout(late);
      reject(new Error(`the demo ended with ${code}; it said:\n${said}`));
    });
  });
  return { demo, ready };
}

function stopDemo(demo) {
  if (demo.exitCode !== null || demo.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    const late = setTimeout(() => demo.kill('SIGKILL'), STOP_MS);
    demo.on('exit', () => {
      clearTimeout(late);
      resolve();
    });
    demo.kill('SIGINT');
  });
}

/** A command that sends the device's agent a signal. It is known by its state folder, which no other has. */
function signal(name) {
  const file = join(folder, `${name}.sh`);
  writeFileSync(file, `#!/bin/sh\nexec pkill -${name} -f -- 'selvedge-agent.*--state ${join(folder, 'fleet', DEVICE)}( |$)'\n`, { mode: 0o700 });
  return file;
}

const { demo, ready } = startDemo();
let status = 1;
try {
  const { url, token } = await ready;
  const env = {
    ...process.env,
    SELVEDGE_E2E_URL: url,
    SELVEDGE_E2E_TOKEN: token,
    SELVEDGE_E2E_DEVICE: DEVICE,
    SELVEDGE_E2E_CUT: signal('STOP'),
    SELVEDGE_E2E_MEND: signal('CONT'),
  };
  status = spawnSync(process.execPath, ['--test', ...tests], { env, stdio: 'inherit' }).status ?? 1;
  spawnSync(env.SELVEDGE_E2E_MEND);
} catch (error) {
  console.error(`fleet.mjs: ${error.message}`);
} finally {
  await stopDemo(demo);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
process.exit(status);
