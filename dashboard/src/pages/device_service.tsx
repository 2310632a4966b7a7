// One service on one device: state and reason, what runs, numbers, ledger, and what can be asked of it.

import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

import { ApiError, segment, sentence } from '../api/client';
import type { Device, PipelineMetrics, Service } from '../api/types';
import { clock, count, digest, millis, number, percent, plural } from '../lib/format';
import { parts } from '../lib/ledger';
import { href } from '../lib/router';
import { isBad } from '../state/fleet';
import { useSession } from '../state/session';
import { Icon, StateMark } from '../ui/icons';
import { Dialog, Lasting, Problem, Select } from '../ui/parts';
import { Stack } from '../ui/stack';

/** A picture a second, and not for ever: somebody forgets the tab. */
const LIVE_EVERY_MS = 1000;
const LIVE_FOR_MS = 60000;

interface Target {
  device: Device;
  service: Service;
}

const body = ({ service }: Target): { application: string; service: string } => ({
  application: service.application,
  service: service.name,
});

function Stat({ label, value, sub }: { label: string; value: string; sub?: string }): VNode {
  return (
    <div class="stat">
      <span class="stat-label">{label}</span>
      <b class="num">{value}</b>
      {sub ? <span class="stat-sub">{sub}</span> : null}
    </div>
  );
}

function Pipeline({ pipeline }: { pipeline: PipelineMetrics }): VNode {
  const ledger = parts(pipeline.ledger);
  return (
    <>
      <div class="stats">
        <Stat label="Frames/s" value={number(pipeline.fps)} />
        <Stat label="p50" value={millis(pipeline.p50_ms)} />
        <Stat label="p90" value={millis(pipeline.p90_ms)} />
        <Stat label="p99" value={millis(pipeline.p99_ms)} />
        {pipeline.cpu_share ? <Stat label="Processor" value={percent(pipeline.cpu_share, 1)} sub="of one core" /> : null}
        {pipeline.rss_mib ? <Stat label="Memory" value={`${number(pipeline.rss_mib)} MiB`} /> : null}
        <Stat label="Source" value={pipeline.source_state || 'unknown'} sub={pipeline.source_detail} />
      </div>
      <p class="what-runs">
        <b>{pipeline.model}</b> on {pipeline.engine}, variant {pipeline.variant}, in effect {pipeline.precision}.
        {pipeline.choice_reason ? <span class="muted"> {pipeline.choice_reason}</span> : null}
      </p>
      <h3>Ledger: where {plural(pipeline.ledger.in, 'frame')} went</h3>
      <Stack parts={ledger.parts} total={ledger.total} label={`${plural(ledger.total, 'frame')} in`} />
      {ledger.over ? <Problem text={`The parts are ${count(ledger.over)} more than came in: this ledger does not balance.`} /> : null}
      {pipeline.ready ? null : <p class="warn">Not ready{pipeline.ready_detail ? `: ${pipeline.ready_detail}` : ''}</p>}
      {pipeline.events_lost ? <Problem text={`${plural(pipeline.events_lost, 'event')} lost: a queue on the device was full.`} /> : null}
    </>
  );
}

function Logs({ target, onClose }: { target: Target; onClose: () => void }): VNode {
  const { client } = useSession();
  const [lines, setLines] = useState('200');
  const [text, setText] = useState<string | null>(null);
  const [error, setError] = useState('');
  const [turn, setTurn] = useState(0);
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    let current = true;
    setError('');
    client
      .post(`/devices/${segment(target.device.name)}/logs`, { ...body(target), lines: Number(lines) })
      .then(async (response) => ((await response.json()) as { text: string }).text)
      .then((found) => current && setText(found), (problem: unknown) => current && setError(sentence(problem)));
    return () => {
      current = false;
    };
  }, [lines, turn]);
  useEffect(() => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [text]);
  return (
    <Dialog title={`Logs of ${target.service.name} on ${target.device.name}`} open onClose={onClose} wide>
      <div class="toolbar">
        <Select label="Lines" value={lines} options={[['50', 'last 50'], ['200', 'last 200'], ['1000', 'last 1000']]} onChange={setLines} />
        <button type="button" onClick={() => setTurn(turn + 1)}><Icon name="restart" size={16} /> Read again</button>
      </div>
      {error ? <Problem text={error} /> : null}
      {text === null && !error ? <p class="loading" role="status">Asking the device…</p> : null}
      {text !== null ? <pre ref={box} class="log" tabIndex={0} aria-label="Log">{text || 'It has written nothing.'}</pre> : null}
    </Dialog>
  );
}

function refusal(error: unknown): string {
  if (error instanceof ApiError && error.status === 403) return `${error.message}`;
  return sentence(error);
}

function Picture({ target, onClose }: { target: Target; onClose: () => void }): VNode {
  const { client } = useSession();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [taken, setTaken] = useState(0);
  const [error, setError] = useState<{ text: string; forbidden: boolean } | null>(null);
  const [until, setUntil] = useState(0);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let current = true;
    let timer = 0;
    const take = async (): Promise<void> => {
      try {
        const response = await client.post(`/devices/${segment(target.device.name)}/snapshot`, body(target));
        // Drawn on a canvas: no address is made for the picture, and nothing keeps it.
        const picture = await createImageBitmap(await response.blob());
        const element = canvas.current;
        if (!current || !element) return;
        element.width = picture.width;
        element.height = picture.height;
        element.getContext('2d')?.drawImage(picture, 0, 0);
        setTaken(Date.now());
        setError(null);
        if (Date.now() < until) timer = window.setTimeout(() => void take(), LIVE_EVERY_MS);
        else setUntil(0);
      } catch (problem) {
        if (!current) return;
        setError({ text: refusal(problem), forbidden: problem instanceof ApiError && problem.status === 403 });
        setUntil(0);
      }
    };
    void take();
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [turn, until > 0]);
  return (
    <Dialog title={`Picture of ${target.service.name} on ${target.device.name}`} open onClose={onClose} wide>
      {error?.forbidden ? (
        <div class="private">
          <Icon name="camera" size={30} />
          <p><strong>Pictures stay on this device.</strong></p>
          <p>{error.text}</p>
          <p class="muted">A pipeline is local-only unless its file says otherwise: no picture, crop or live view leaves the device. Who may change that edits <code>privacy</code> in the pipeline’s file and deploys it anew.</p>
        </div>
      ) : (
        <>
          {error ? <Problem text={error.text} retry={() => setTurn(turn + 1)} /> : null}
          <canvas ref={canvas} class={`picture ${taken ? '' : 'waiting'}`} role="img" aria-label={`What ${target.device.name} sees`} />
          <footer>
            <span class="muted num" role="status">{taken ? `taken ${clock(taken)}` : error ? '' : 'Asking the device…'}</span>
            <button type="button" disabled={until > 0} onClick={() => setTurn(turn + 1)}><Icon name="camera" /> Take another</button>
            <button type="button" aria-pressed={until > 0} onClick={() => setUntil(until ? 0 : Date.now() + LIVE_FOR_MS)}>
              <Icon name={until ? 'pause' : 'play'} /> {until ? 'Stop' : 'One a second, for a minute'}
            </button>
          </footer>
        </>
      )}
    </Dialog>
  );
}

function Actions({ target }: { target: Target }): VNode {
  const { client } = useSession();
  const [open, setOpen] = useState<'' | 'logs' | 'picture'>('');
  const [said, setSaid] = useState('');
  const restart = async (): Promise<void> => {
    setSaid('asking the device…');
    try {
      await client.post(`/devices/${segment(target.device.name)}/restart`, body(target));
      setSaid('restarting');
    } catch (error) {
      setSaid(sentence(error));
    }
  };
  return (
    <div class="service-actions">
      <button type="button" onClick={() => setOpen('logs')}><Icon name="events" size={16} /> Logs</button>
      {target.service.kind === 'pipeline' ? (
        <button type="button" onClick={() => setOpen('picture')}><Icon name="camera" size={16} /> Picture</button>
      ) : null}
      <button type="button" onClick={() => void restart()}><Icon name="restart" size={16} /> Restart</button>
      <span class="muted" role="status">{said}</span>
      {open === 'logs' ? <Logs target={target} onClose={() => setOpen('')} /> : null}
      {open === 'picture' ? <Picture target={target} onClose={() => setOpen('')} /> : null}
    </div>
  );
}

export function ServiceCard({ device, service }: Target): VNode {
  const heard = device.status === 'online';
  const ports = (service.ports ?? []).map((port) => (port.external === port.internal ? `${port.external}` : `${port.external}→${port.internal}`));
  return (
    <article class={`card service ${isBad(service) ? 'bad' : ''}`}>
      <header>
        <h2>
          <a href={href(['applications', service.application])}>{service.application}</a>
          <span class="slash">/</span>{service.name}
        </h2>
        <StateMark state={heard ? service.state : `was ${service.state}`} of={service.state} />
      </header>
      {service.message ? <p class={isBad(service) ? 'bad' : 'muted'}>{service.message}</p> : null}
      {service.state === 'downloading' ? (
        <progress max={1} value={service.progress} aria-label="Download">{Math.round(service.progress * 100)} %</progress>
      ) : null}
      <p class="service-facts">
        <span>{service.kind} <b class="num">{service.version}</b></span>
        <code title={service.digest}>{digest(service.digest)}</code>
        {ports.length ? <span>port <span class="num">{ports.join(', ')}</span></span> : null}
        {heard ? <span>{service.state} for <Lasting since={service.since_ms} /></span> : null}
        <span class={service.restarts ? 'warn' : ''}>{plural(service.restarts, 'restart')}</span>
      </p>
      {service.pipeline ? <Pipeline pipeline={service.pipeline} /> : null}
      <Actions target={{ device, service }} />
    </article>
  );
}
