// The form that asks for a token.

import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

import { Client, sentence } from '../api/client';
import type { Overview } from '../api/types';
import { Logo } from '../ui/icons';
import { Problem } from '../ui/parts';
import { ThemeSwitch } from '../ui/shell';

export function SignIn({ reason, onSignedIn }: { reason: string; onSignedIn: (token: string) => void }): VNode {
  const [token, setToken] = useState('');
  const [error, setError] = useState(reason);
  const [busy, setBusy] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = 'Sign in · Selvedge';
    field.current?.focus();
  }, []);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const given = token.trim();
    if (!given) {
      setError('A token is needed.');
      return;
    }
    setBusy(true);
    try {
      await new Client(given, () => undefined).get<Overview>('/overview');
      onSignedIn(given);
    } catch (problem) {
      setError(sentence(problem));
      field.current?.focus();
      field.current?.select();
    }
    setBusy(false);
  };
  return (
    <main class="sign-in">
      <div class="sign-in-theme"><ThemeSwitch /></div>
      <form class="card" onSubmit={(event) => void submit(event)}>
        <h1><Logo /> Selvedge</h1>
        {error ? <Problem text={error} /> : null}
        <label class="field">
          <span>Token</span>
          <input
            ref={field}
            type="password"
            autocomplete="current-password"
            aria-invalid={error !== ''}
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="primary" disabled={busy}>{busy ? 'Asking…' : 'Sign in'}</button>
        <p class="note">
          The first start of <code>selvedge cloud</code> wrote an admin’s token into its state folder. With it, others are made under <em>Tokens</em> or by <code>selvedge token create</code>. It is kept until this tab is closed.
        </p>
      </form>
    </main>
  );
}
