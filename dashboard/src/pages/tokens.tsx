// Tokens: make one for a device or gateway to join with, or for a person; see and withdraw those there are.

import type { VNode } from 'preact';
import { useState } from 'preact/hooks';

import { segment, sentence } from '../api/client';
import type { TokenRecord } from '../api/types';
import { moment, NOTHING } from '../lib/format';
import { useFetched, useFleet, useNow, useSession } from '../state/session';
import { Icon } from '../ui/icons';
import { Command, Confirm, Copy, Empty, Field, Loading, Page, Problem } from '../ui/parts';

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

const LIFETIMES: [string, string][] = [
  ['3600', '1 hour'],
  ['86400', '1 day'],
  ['604800', '1 week'],
];

/** What is pasted on the machine that is to join. Pure. */
export function joinCommand(role: string, token: string, hardware: string): string {
  if (role === 'gateway') return `selvedge gateway --join ${token}`;
  return `selvedge agent --join ${token}${hardware ? ` --label hardware=${hardware}` : ''}`;
}

function JoinForm({ onMade }: { onMade: (token: TokenRecord, command: string) => void }): VNode {
  const { client } = useSession();
  const devices = useFleet((state) => state.devices);
  const sites = [...new Set([...devices.values()].map((device) => device.site))].sort();
  const [site, setSite] = useState(sites[0] ?? '');
  const [role, setRole] = useState('device');
  const [hardware, setHardware] = useState('');
  const [expires, setExpires] = useState('3600');
  const [via, setVia] = useState('');
  const [error, setError] = useState('');
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setError('');
    if (!NAME.test(site)) {
      setError('A site’s name is 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or a digit.');
      return;
    }
    try {
      const request = { kind: 'join', site, role, expires_s: Number(expires), ...(via ? { via } : {}) };
      const token = (await (await client.post('/tokens', request)).json()) as TokenRecord;
      onMade(token, joinCommand(role, token.token ?? '', hardware.trim()));
    } catch (problem) {
      setError(sentence(problem));
    }
  };
  return (
    <form class="form" onSubmit={(event) => void submit(event)}>
      <Field label="Site" hint="One that is there, or a new one">
        <input required list="sites" value={site} onInput={(event) => setSite(event.currentTarget.value)} />
        <datalist id="sites">{sites.map((name) => <option key={name} value={name} />)}</datalist>
      </Field>
      <Field label="For a">
        <select value={role} onChange={(event) => setRole(event.currentTarget.value)}>
          <option value="device">device</option>
          <option value="gateway">gateway</option>
        </select>
      </Field>
      {role === 'device' ? (
        <Field label="Hardware label" hint="Optional: jetson, raspberry-pi, x86 …">
          <input value={hardware} pattern="[A-Za-z0-9._\-]*" onInput={(event) => setHardware(event.currentTarget.value)} />
        </Field>
      ) : null}
      <Field label="Good for">
        <select value={expires} onChange={(event) => setExpires(event.currentTarget.value)}>
          {LIFETIMES.map(([value, text]) => <option key={value} value={value}>{text}</option>)}
        </select>
      </Field>
      {role === 'device' ? (
        <Field label="By way of" hint="Optional: https://GATEWAY:PORT, where a device reaches only its gateway">
          <input type="url" value={via} onInput={(event) => setVia(event.currentTarget.value)} />
        </Field>
      ) : null}
      <button type="submit" class="primary"><Icon name="plus" /> Make a join token</button>
      {error ? <Problem text={error} /> : null}
    </form>
  );
}

function UserForm({ onMade }: { onMade: (token: TokenRecord) => void }): VNode {
  const { client } = useSession();
  const [name, setName] = useState('');
  const [role, setRole] = useState('viewer');
  const [error, setError] = useState('');
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setError('');
    try {
      onMade((await (await client.post('/tokens', { kind: 'user', role, name })).json()) as TokenRecord);
    } catch (problem) {
      setError(sentence(problem));
    }
  };
  return (
    <form class="form" onSubmit={(event) => void submit(event)}>
      <Field label="For whom"><input required value={name} onInput={(event) => setName(event.currentTarget.value)} /></Field>
      <Field label="May">
        <select value={role} onChange={(event) => setRole(event.currentTarget.value)}>
          <option value="viewer">look (viewer)</option>
          <option value="operator">look and steer (operator)</option>
          <option value="admin">everything (admin)</option>
        </select>
      </Field>
      <button type="submit"><Icon name="plus" /> Make a user’s token</button>
      {error ? <Problem text={error} /> : null}
    </form>
  );
}

function Made({ token, command, onDone }: { token: TokenRecord; command: string; onDone: () => void }): VNode {
  return (
    <section class="card made" role="status" aria-label="The new token">
      <header><h2>Shown this once</h2><button type="button" onClick={onDone}>Done</button></header>
      {command ? (
        <>
          <p>Paste this on the machine that is to join. The token is good for one machine.</p>
          <Command text={command} />
        </>
      ) : (
        <>
          <p>Give this to {token.name || 'its owner'}. The control plane keeps only its digest and cannot show it again.</p>
          <div class="command"><code>{token.token}</code><Copy text={token.token ?? ''} /></div>
        </>
      )}
    </section>
  );
}

function Row({ token, now, onRemoved }: { token: TokenRecord; now: number; onRemoved: () => void }): VNode {
  const { client } = useSession();
  const [removing, setRemoving] = useState(false);
  const state = token.spent_by ? `used by ${token.spent_by}` : token.expires_ms && token.expires_ms < now ? 'expired' : 'open';
  const remove = async (): Promise<string> => {
    try {
      await client.remove(`/tokens/${segment(token.id)}`);
      onRemoved();
      return '';
    } catch (error) {
      return sentence(error);
    }
  };
  return (
    <tr>
      <td>{token.kind === 'join' ? 'join' : 'user'}</td>
      <td>{token.kind === 'join' ? `${token.role ?? 'device'} at ${token.site ?? NOTHING}` : `${token.name || NOTHING} (${token.role ?? NOTHING})`}</td>
      <td class="num">{token.created_ms ? moment(token.created_ms, now) : NOTHING}</td>
      <td class="num">{token.expires_ms ? moment(token.expires_ms, now) : 'never'}</td>
      <td>{token.kind === 'join' ? state : 'open'}</td>
      <td class="right">
        <button type="button" class="plain danger" aria-label={`Withdraw token ${token.id}`} onClick={() => setRemoving(true)}><Icon name="bin" size={16} /></button>
        <Confirm title="Withdraw this token?" action="Withdraw" open={removing} onClose={() => setRemoving(false)} onConfirm={remove}>
          <p>{token.kind === 'join' ? 'No machine can join with it any more. One that has joined stays.' : 'Whoever uses it is signed out at the next request.'}</p>
        </Confirm>
      </td>
    </tr>
  );
}

export function Tokens(): VNode {
  const role = useFleet((state) => state.role);
  const now = useNow(10000);
  const [made, setMade] = useState<{ token: TokenRecord; command: string } | null>(null);
  const { data, error, loading, reload } = useFetched('tokens', (client) => client.all<TokenRecord>('/tokens'));
  const show = (token: TokenRecord, command = ''): void => {
    setMade({ token, command });
    reload();
  };
  return (
    <Page title="Tokens" lead="A machine joins the fleet with a one-time token; a person signs in with a user’s token.">
      {made ? <Made token={made.token} command={made.command} onDone={() => setMade(null)} /> : null}
      <div class="columns">
        <section class="card" aria-label="Join"><header><h2>Join a machine</h2></header><JoinForm onMade={show} /></section>
        {role === '' || role === 'admin' ? (
          <section class="card" aria-label="User"><header><h2>Let a person in</h2></header><UserForm onMade={show} /></section>
        ) : null}
      </div>
      <section class="card" aria-label="Tokens">
        <header><h2>Tokens there are</h2></header>
        {error ? <Problem text={error} retry={reload} /> : null}
        {loading && !data ? <Loading what="the tokens" /> : null}
        {data && !data.length ? <Empty icon="tokens" title="There are none" /> : null}
        {data?.length ? (
          <div class="scroll-x">
            <table class="plain-table">
              <thead><tr><th>Kind</th><th>For</th><th>Made</th><th>Ends</th><th>State</th><th><span class="hidden">Withdraw</span></th></tr></thead>
              <tbody>{data.map((token) => <Row key={token.id} token={token} now={now} onRemoved={reload} />)}</tbody>
            </table>
          </div>
        ) : null}
      </section>
    </Page>
  );
}
