// What is deployed: the list, and one application with what became of it on every device.

import type { VNode } from 'preact';
import { useMemo, useState } from 'preact/hooks';

import { segment, sentence } from '../api/client';
import type { Application as ApplicationRecord, Microservice, Placement } from '../api/types';
import { ago, digest, plural } from '../lib/format';
import { href } from '../lib/router';
import { useFleet, useNow, useSession } from '../state/session';
import { Icon, StateMark } from '../ui/icons';
import { Confirm, Copy, Empty, Loading, Page } from '../ui/parts';
import { useNarrow } from '../ui/screen';
import { Virtual } from '../ui/virtual';

export interface Tally {
  fits: number;
  running: number;
  bad: number;
  pending: number;
  refused: number;
}

export function tallyOf(placements: readonly Placement[]): Tally {
  const tally: Tally = { fits: 0, running: 0, bad: 0, pending: 0, refused: 0 };
  for (const placement of placements) {
    if (!placement.fits) {
      tally.refused++;
      continue;
    }
    tally.fits++;
    if (placement.state === 'running') tally.running++;
    else if (placement.state === 'failing' || placement.state === 'refused') tally.bad++;
    else tally.pending++;
  }
  return tally;
}

function TallyLine({ tally, plan = false }: { tally: Tally; plan?: boolean }): VNode {
  if (!tally.fits) return <span class="bad"><Icon name="warning" size={16} /> fits no device</span>;
  const refused = tally.refused ? <span class="muted">{plural(tally.refused, 'device')} refused</span> : null;
  if (plan) return <span class="tally num"><span>fits {plural(tally.fits, 'device')}</span>{refused}</span>;
  return (
    <span class="tally num">
      <span>{tally.running} of {tally.fits} running</span>
      {tally.bad ? <span class="bad"><Icon name="warning" size={16} /> {tally.bad} failing</span> : null}
      {tally.pending ? <span class="warn">{tally.pending} on the way</span> : null}
      {refused}
    </span>
  );
}

export function Applications(): VNode {
  const applications = useFleet((state) => state.applications);
  const loaded = useFleet((state) => state.loaded);
  const now = useNow(5000);
  const list = [...applications.values()].sort((a, b) => a.name.localeCompare(b.name));
  return (
    <Page
      title="Deployments"
      actions={<a class="button primary" href="#/apply"><Icon name="upload" /> Apply a manifest</a>}
    >
      {!loaded ? <Loading what="the applications" /> : null}
      {loaded && !list.length ? (
        <Empty icon="apps" title="Nothing is deployed">
          Apply a manifest here, or with <code>selvedge apply -f edge-deployment.yaml</code>.
        </Empty>
      ) : null}
      <div class="tiles">
        {list.map((application) => (
          <a key={application.name} class="card tile" href={href(['applications', application.name])}>
            <header><h2>{application.name}</h2><span class="muted">applied {ago(application.applied_ms, now)}</span></header>
            {application.microservices.map((service) => (
              <div key={service.name} class="tile-line">
                <b>{service.name}</b> <span class="muted">{service.kind} {service.version}</span>
                <TallyLine tally={tallyOf(service.placements)} />
              </div>
            ))}
          </a>
        ))}
      </div>
    </Page>
  );
}

function PlacementCells({ placement, plan }: { placement: Placement; plan: boolean }): VNode {
  const why = !placement.fits ? placement.reasons.join('; ') : plan ? '' : placement.message;
  return (
    <>
      <span role="cell" class="c-name"><a href={href(['devices', placement.device])}>{placement.device}</a></span>
      <span role="cell" class="c-site">{placement.site}</span>
      <span role="cell" class="c-state">
        {!placement.fits ? <span class="health never">does not fit</span> : plan ? <StateMark state="would run" of="running" /> : <StateMark state={placement.state || 'waiting'} />}
      </span>
      <span role="cell" class={`c-why ${placement.fits ? '' : 'reasons'}`} title={why}>{why}</span>
    </>
  );
}

const placementOrder = (placement: Placement): number => {
  if (!placement.fits) return 3;
  if (placement.state === 'failing' || placement.state === 'refused') return 0;
  return placement.state === 'running' ? 2 : 1;
};

/** `plan`: of a dry run, where nothing runs yet. */
export function Placements({ service, plan = false }: { service: Microservice; plan?: boolean }): VNode {
  const narrow = useNarrow();
  const ordered = useMemo(
    () => [...service.placements].sort((a, b) => placementOrder(a) - placementOrder(b) || a.device.localeCompare(b.device)),
    [service],
  );
  const images = Object.entries(service.images ?? {});
  return (
    <section class="card" aria-label={service.name}>
      <header><h2>{service.name}</h2><TallyLine tally={tallyOf(service.placements)} plan={plan} /></header>
      <p class="service-facts">
        <span>{service.kind} <b class="num">{service.version}</b></span>
        {service.digest ? <code title={service.digest}>{digest(service.digest)}</code> : null}
        {images.map(([arch, image]) => <span key={arch}>{arch}: <code>{image}</code></span>)}
      </p>
      {ordered.length ? (
        <Virtual
          items={ordered}
          rowHeight={!narrow ? 40 : ordered.some((placement) => !placement.fits || placement.message) ? 84 : 48}
          keyOf={(placement) => placement.device}
          label={`${service.name}, device by device`}
          class="placement-table"
          row={(placement) => <PlacementCells placement={placement} plan={plan} />}
          columns={['Device', 'Site', 'State', 'Why'].map((title, i) => (
            <span key={title} role="columnheader" class={['c-name', 'c-site', 'c-state', 'c-why'][i]}>{title}</span>
          ))}
        />
      ) : <Empty title="There are no devices yet" />}
    </section>
  );
}

export function Application({ name }: { name: string }): VNode {
  const application = useFleet((state) => state.applications.get(name));
  const loaded = useFleet((state) => state.loaded);
  const now = useNow(5000);
  const session = useSession();
  const [deleting, setDeleting] = useState(false);
  const crumbs = <a href="#/applications"><Icon name="left" size={14} /> Deployments</a>;
  if (!application) {
    return (
      <Page title={name} crumbs={crumbs}>
        {loaded ? <Empty icon="apps" title="No application has this name">It may have been deleted.</Empty> : <Loading what="the application" />}
      </Page>
    );
  }
  const remove = async (): Promise<string> => {
    try {
      await session.client.remove(`/applications/${segment(name)}`);
    } catch (error) {
      return sentence(error);
    }
    session.forgetApplication(name);
    location.hash = '#/applications';
    return '';
  };
  return (
    <Page
      title={name}
      crumbs={crumbs}
      lead={<span>applied {ago(application.applied_ms, now)}</span>}
      actions={
        <>
          <a class="button" href={href(['apply'], { from: name })}>Change the manifest</a>
          <button type="button" class="plain danger" onClick={() => setDeleting(true)}><Icon name="bin" /> Delete</button>
        </>
      }
    >
      {application.microservices.map((service) => <Placements key={service.name} service={service} />)}
      <Manifest application={application} />
      <Confirm title={`Delete ${name}?`} action="Delete the application" open={deleting} onClose={() => setDeleting(false)} onConfirm={remove}>
        <p>Its services stop on {plural(runningOn(application), 'device')}. Events that were sent stay.</p>
      </Confirm>
    </Page>
  );
}

function runningOn(application: ApplicationRecord): number {
  const devices = application.microservices.flatMap((service) =>
    service.placements.filter((placement) => placement.fits).map((placement) => placement.device),
  );
  return new Set(devices).size;
}

function Manifest({ application }: { application: ApplicationRecord }): VNode {
  return (
    <section class="card" aria-label="Manifest">
      <header><h2>Manifest</h2><Copy text={application.manifest} /></header>
      <pre class="manifest" tabIndex={0} aria-label="Manifest">{application.manifest}</pre>
    </section>
  );
}
