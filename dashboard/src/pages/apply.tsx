// Apply a manifest: write, paste or drop it; see what would happen on every device; then do it.

import type { VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import { ApiError, sentence } from '../api/client';
import type { ApplyAnswer } from '../api/types';
import { plural } from '../lib/format';
import { manifestErrors, type ManifestError } from '../lib/manifest_error';
import { href } from '../lib/router';
import { useFleet, useSession } from '../state/session';
import { Editor } from '../ui/editor';
import { Icon } from '../ui/icons';
import { Page, Problem } from '../ui/parts';
import { Placements, tallyOf } from './applications';

/** As docs/formats/application.md has it. */
const MAX_BYTES = 1 << 20;

const START = `apiVersion: iofog.org/v3
kind: Application
metadata:
  name: safety-monitor
spec:
  microservices:
  - name: object-detector
    images:
      any: pipeline:safety/person-detector:1.0
    config:
      confidence_threshold: 0.7
  placements:
  - type: constraint
    key: hardware
    operator: ==
    value: jetson
`;

type Result =
  | { kind: 'none' }
  | { kind: 'busy' }
  | { kind: 'errors'; errors: ManifestError[] }
  | { kind: 'problem'; text: string }
  | { kind: 'plan' | 'done'; answer: ApplyAnswer };

function Outcome({ answer, done }: { answer: ApplyAnswer; done: boolean }): VNode {
  const all = answer.applications.flatMap((application) => application.microservices.flatMap((s) => s.placements));
  const devices = new Set(all.filter((placement) => placement.fits).map((placement) => placement.device)).size;
  const nowhere = answer.applications.some((a) => a.microservices.some((s) => tallyOf(s.placements).fits === 0));
  const names = answer.applications.map((application) => application.name);
  return (
    <section aria-label={done ? 'Applied' : 'Dry run'}>
      <div class={`verdict slim ${nowhere ? 'uneasy' : 'calm'}`} role="status">
        <Icon name={nowhere ? 'warning' : 'check'} size={20} />
        <div>
          <strong>{done ? 'Applied.' : 'Dry run: nothing was changed.'}</strong>{' '}
          {done ? 'It goes to' : 'It would run on'} {plural(devices, 'device')}{nowhere ? '; a part of it fits nowhere, see why below' : ''}.
        </div>
        {done ? names.map((name) => <a key={name} class="button" href={href(['applications', name])}>Watch {name}</a>) : null}
      </div>
      {answer.applications.map((application) => (
        <div key={application.name}>
          <h2 class="section">{application.name}</h2>
          {application.microservices.map((service) => <Placements key={service.name} service={service} plan={!done} />)}
        </div>
      ))}
    </section>
  );
}

export function Apply({ from }: { from: string }): VNode {
  const session = useSession();
  const old = useFleet((state) => state.applications.get(from)?.manifest);
  const [text, setText] = useState(old ?? START);
  const [touched, setTouched] = useState(false);
  const [result, setResult] = useState<Result>({ kind: 'none' });
  const [over, setOver] = useState(false);
  useEffect(() => {
    if (old !== undefined && !touched) setText(old); // It came after the page did.
  }, [old]);

  const change = (value: string): void => {
    setTouched(true);
    setText(value);
    if (result.kind !== 'busy') setResult({ kind: 'none' });
  };
  const take = async (file: File | null | undefined): Promise<void> => {
    if (!file) return;
    if (file.size > MAX_BYTES) setResult({ kind: 'problem', text: `${file.name} is larger than 1 MiB, which is the limit for a manifest.` });
    else change(await file.text());
  };
  const send = async (dryRun: boolean): Promise<void> => {
    setResult({ kind: 'busy' });
    try {
      const response = await session.client.request(`/applications?dry_run=${dryRun}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/yaml' },
        body: text,
      });
      const answer = (await response.json()) as ApplyAnswer;
      if (answer.applied) session.putApplications(answer.applications);
      setResult({ kind: answer.applied ? 'done' : 'plan', answer });
    } catch (error) {
      if (error instanceof ApiError && error.status === 400) {
        setResult({ kind: 'errors', errors: manifestErrors(error.body, text.split('\n').length) });
      } else {
        setResult({ kind: 'problem', text: sentence(error) });
      }
    }
  };
  const busy = result.kind === 'busy';
  return (
    <Page
      title={from ? `Change ${from}` : 'Apply a manifest'}
      crumbs={<a href="#/applications"><Icon name="left" size={14} /> Deployments</a>}
      lead="An ioFog v3 Application. Try it first: a dry run tells, device by device, what would happen."
    >
      <div
        class={`drop ${over ? 'over' : ''}`}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          void take(event.dataTransfer?.files[0]);
        }}
      >
        <Editor label="Manifest" value={text} errors={result.kind === 'errors' ? result.errors : []} onChange={change} />
        <div class="drop-bar">
          <label class="button file">
            <Icon name="upload" size={16} /> Open a file
            <input type="file" accept=".yaml,.yml,text/yaml" onChange={(event) => void take(event.currentTarget.files?.[0])} />
          </label>
          <span class="muted">or drop it here</span>
          <span class="spring" />
          <button type="button" disabled={busy || !text.trim()} onClick={() => void send(true)}>Dry run</button>
          <button type="button" class="primary" disabled={busy || !text.trim()} onClick={() => void send(false)}>Apply</button>
        </div>
      </div>
      {busy ? <p class="loading" role="status">Asking the control plane…</p> : null}
      {result.kind === 'problem' ? <Problem text={result.text} /> : null}
      {result.kind === 'plan' || result.kind === 'done' ? <Outcome answer={result.answer} done={result.kind === 'done'} /> : null}
    </Page>
  );
}
