// One device or gateway: what is wrong with it, what it runs, how fast, where its frames went, what it is.

import type { ComponentChildren, VNode } from 'preact';
import { useState } from 'preact/hooks';

import { segment, sentence } from '../api/client';
import type { Device as DeviceRecord } from '../api/types';
import { bytes, count, millis, moment, NOTHING, number, percent, plural } from '../lib/format';
import { href } from '../lib/router';
import { health, isDeclared, isDevice, why } from '../state/fleet';
import { useFleet, useNow, useSession } from '../state/session';
import { HealthMark, Icon } from '../ui/icons';
import { Age, Confirm, Empty, Loading, Page } from '../ui/parts';
import { Curves } from './device_curves';
import { ServiceCard } from './device_service';

function Fact({ name, children, declared }: { name: string; children: ComponentChildren; declared?: boolean }): VNode {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>
        {children}
        {declared ? <span class="tag declared" title="Said by a label, not found by the device itself">declared</span> : null}
      </dd>
    </div>
  );
}

/** What accelerators there are, each told apart: found by the device, or declared by a label. */
function Accelerators({ device }: { device: DeviceRecord }): VNode {
  const kinds = ['gpu', 'tpu', 'npu'] as const;
  const there = kinds.filter((kind) => (device.facts[kind] ?? 0) > 0 || isDeclared(device, kind));
  if (!there.length) return <Fact name="Accelerators">none found</Fact>;
  return (
    <>
      {there.map((kind) => (
        <Fact key={kind} name={kind.toUpperCase()} declared={isDeclared(device, kind)}>
          {device.labels[kind] ?? count(device.facts[kind])}
        </Fact>
      ))}
    </>
  );
}

function Facts({ device }: { device: DeviceRecord }): VNode {
  const facts = device.facts ?? {};
  return (
    <section class="card" aria-label="Facts">
      <header><h2>What it is</h2></header>
      <dl class="facts">
        <Fact name="Architecture" declared={isDeclared(device, 'arch')}>{facts.arch ?? NOTHING}</Fact>
        <Fact name="Processor">{facts.cpu || NOTHING}</Fact>
        <Fact name="Cores">{count(facts.cores)}</Fact>
        <Fact name="Memory">{facts.memory_mb ? bytes(facts.memory_mb * 1e6) : NOTHING}</Fact>
        <Fact name="Disk free">{facts.disk_free_mb ? bytes(facts.disk_free_mb * 1e6) : NOTHING}</Fact>
        <Accelerators device={device} />
        <Fact name="Engines">{facts.engines?.join(', ') || 'none loaded'}</Fact>
        <Fact name="Cameras">{facts.cameras?.join(', ') || 'none'}</Fact>
        <Fact name="Containers">{facts.containers ? 'yes' : 'no runtime'}</Fact>
        <Fact name="System">{[facts.os, facts.kernel].filter(Boolean).join(', ') || NOTHING}</Fact>
        <Fact name="Host name">{facts.hostname || NOTHING}</Fact>
      </dl>
      <h3>Labels</h3>
      <div class="labels">
        {Object.entries(device.labels).map(([key, value]) => (
          <a key={key} class={`tag ${isDeclared(device, key) ? 'declared' : ''}`} href={href(['devices'], { text: `${key}=${value}` })}>
            {key}={value}
          </a>
        ))}
        {Object.keys(device.labels).length ? null : <span class="muted">none</span>}
      </div>
      {device.declared.length ? (
        <p class="note">Marked <span class="tag declared">declared</span>: said by whoever started the device, not found by it. Declared accelerators do no work.</p>
      ) : null}
    </section>
  );
}

function Report({ device }: { device: DeviceRecord }): VNode {
  const { desired, observed } = device.generation;
  const skew = Math.abs(device.clock_offset_ms) > 60000;
  return (
    <section class="card" aria-label="Connection and sync">
      <header><h2>Connection and sync</h2></header>
      <dl class="facts">
        <Fact name="Last heard"><Age at={device.last_seen_ms} /></Fact>
        <Fact name="Joined">{moment(device.joined_ms, 0)}</Fact>
        <Fact name="Generation">
          <span class="num">{count(observed)} of {count(desired)}</span>{' '}
          <span class={device.in_sync ? 'good' : 'warn'}>{device.in_sync ? 'in sync' : 'not yet'}</span>
        </Fact>
        <Fact name="Events waiting"><span class="num">{count(device.outbox.waiting)}</span> ({bytes(device.outbox.bytes)} on disk)</Fact>
        <Fact name="Events taken"><span class="num">{count(device.outbox.accepted)}</span></Fact>
        <Fact name="Events dropped">
          <span class={`num ${device.outbox.dropped ? 'bad' : ''}`}>{count(device.outbox.dropped)}</span>
          {device.outbox.dropped ? ' over the outbox’s cap' : ''}
        </Fact>
        <Fact name={isDevice(device) ? 'Agent’s memory' : 'Gateway’s memory'}>{device.agent_rss_mib ? `${number(device.agent_rss_mib)} MiB` : NOTHING}</Fact>
        {device.temperature_celsius ? <Fact name="Temperature">{number(device.temperature_celsius)} °C</Fact> : null}
        <Fact name="Clock">
          <span class={skew ? 'bad' : ''}>{device.clock_offset_ms ? `${millis(Math.abs(device.clock_offset_ms))} ${device.clock_offset_ms > 0 ? 'ahead' : 'behind'}` : 'agrees'}</span>
        </Fact>
      </dl>
    </section>
  );
}

function Summary({ device }: { device: DeviceRecord }): VNode {
  const now = useNow();
  const state = health(device);
  const reason = why(device);
  const sub: Partial<Record<typeof state, string>> = {
    offline: 'It goes on by itself; what it decides meanwhile waits in its outbox.',
    unreachable: 'Its gateway is lost. What it does meanwhile is not known, not bad.',
    stale: 'It said nothing for longer than it should.',
    never: 'It joined and has not been heard yet.',
  };
  return (
    <div class={`verdict slim ${state === 'online' ? 'calm' : state === 'failing' || state === 'offline' ? 'bad' : 'uneasy'}`}>
      <HealthMark health={state} />
      <div>
        {reason ? <strong>{reason}</strong> : state === 'online' ? <span>Nothing is wrong with it.</span> : null}
        {sub[state] ? <> <span>{sub[state]}</span></> : null}
        {device.status !== 'online' && device.last_seen_ms ? <> <span class="muted">Everything below is of {moment(device.last_seen_ms, now)}.</span></> : null}
      </div>
    </div>
  );
}

export function Device({ name }: { name: string }): VNode {
  const device = useFleet((state) => state.devices.get(name));
  const loaded = useFleet((state) => state.loaded);
  const { client } = useSession();
  const [removing, setRemoving] = useState(false);
  const crumbs = <a href="#/devices"><Icon name="left" size={14} /> Fleet</a>;
  if (!device) {
    return (
      <Page title={name} crumbs={crumbs}>
        {loaded ? <Empty icon="devices" title="No device has this name">It may have been removed. <a href="#/devices">All devices</a></Empty> : <Loading what="the device" />}
      </Page>
    );
  }
  const remove = async (): Promise<string> => {
    try {
      await client.remove(`/devices/${segment(name)}`);
      location.hash = '#/devices';
      return '';
    } catch (error) {
      return sentence(error);
    }
  };
  const lead = (
    <>
      <span>{isDevice(device) ? 'Device' : 'Gateway'} at <a href={href(['sites', device.site])}>{device.site}</a></span>
      <span>version {device.version || NOTHING}</span>
      <span>{plural(device.services.length, 'service')}</span>
    </>
  );
  return (
    <Page
      title={device.name}
      crumbs={crumbs}
      lead={lead}
      actions={<button type="button" class="plain danger" onClick={() => setRemoving(true)}><Icon name="bin" /> Remove</button>}
    >
      <Summary device={device} />
      <div class={device.status === 'online' ? 'live-scope' : 'live-scope old'}>
        <section class="stacked" aria-label="Services">
          {device.services.map((service) => (
            <ServiceCard key={`${service.application}/${service.name}`} device={device} service={service} />
          ))}
          {device.services.length || !isDevice(device) ? null : (
            <div class="card">
              <Empty icon="apps" title="Nothing is deployed here">
                No application fits this device. <a href="#/applications">Applications</a> tell, device by device, why.
              </Empty>
            </div>
          )}
        </section>
        {device.services.some((service) => service.pipeline) ? <Curves device={device} /> : null}
        <div class="columns">
          <Report device={device} />
          <Facts device={device} />
        </div>
      </div>
      <Confirm title={`Remove ${name}?`} action="Remove the device" open={removing} onClose={() => setRemoving(false)} onConfirm={remove}>
        <p>It is shut out at once, whatever certificate it has, and its name is free again. What runs on it goes on running there until somebody stops it.</p>
        {device.outbox.waiting ? <p>{plural(device.outbox.waiting, 'event')} that it has not sent yet will not arrive ({percent(device.outbox.waiting, device.outbox.accepted)} of all it took).</p> : null}
      </Confirm>
    </Page>
  );
}
