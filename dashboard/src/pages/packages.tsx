// The registry's packages: tags, digests, variants, and where each runs.

import type { VNode } from 'preact';

import type { Device, Package as PackageRecord, PackageTag } from '../api/types';
import { bytes, digest, plural } from '../lib/format';
import { href } from '../lib/router';
import { services } from '../state/fleet';
import { useFetched, useFleet } from '../state/session';
import { Age, Command, Copy, Empty, Loading, Page, Problem } from '../ui/parts';

/** A variant is a name, or an object that has one. */
export function variantName(variant: PackageTag['variants'][number]): string {
  if (typeof variant === 'string') return variant;
  for (const key of ['variant', 'name', 'title']) if (typeof variant[key] === 'string') return variant[key] as string;
  return 'variant';
}

export function runningOn(devices: Iterable<Device>, of: string): string[] {
  const names = services(devices).filter(({ service }) => service.digest === of).map(({ device }) => device.name);
  return [...new Set(names)].sort();
}

function Tag({ name, tag }: { name: string; tag: PackageTag }): VNode {
  const devices = useFleet((state) => state.devices);
  const on = runningOn(devices.values(), tag.digest);
  return (
    <tr>
      <td><b>{tag.tag}</b></td>
      <td><code title={tag.digest}>{digest(tag.digest)}</code> <Copy text={`${name}@${tag.digest}`} label="Copy" /></td>
      <td>{tag.variants.map((variant) => <span key={variantName(variant)} class="tag">{variantName(variant)}</span>)}</td>
      <td class="num right">{bytes(tag.size)}</td>
      <td><Age at={tag.pushed_ms} /></td>
      <td>{on.length === 1 ? <a href={href(['devices', on[0] ?? ''])}>{on[0]}</a> : on.length ? plural(on.length, 'device') : <span class="muted">nowhere</span>}</td>
    </tr>
  );
}

export function Packages(): VNode {
  const { data, error, loading, reload } = useFetched('packages', (client) => client.all<PackageRecord>('/packages'), 15000);
  return (
    <Page title="Registry" lead="Packages of models and pipelines. What runs on a device is a digest, never a tag.">
      {error ? <Problem text={error} retry={reload} /> : null}
      {loading && !data ? <Loading what="the packages" /> : null}
      {data && !data.length ? (
        <Empty icon="registry" title="The registry is empty">
          Push a model: <Command text="selvedge push safety/person-detector:1.0 --card card.yaml --pipeline pipeline.yaml" />
        </Empty>
      ) : null}
      {data?.map((each) => (
        <section key={each.name} class="card" aria-label={each.name}>
          <header><h2>{each.name}</h2><span class="muted">{plural(each.tags.length, 'tag')}</span></header>
          <div class="scroll-x">
            <table class="plain-table">
              <thead><tr><th>Tag</th><th>Digest</th><th>Variants</th><th class="right">Size</th><th>Pushed</th><th>Runs on</th></tr></thead>
              <tbody>{each.tags.map((tag) => <Tag key={tag.tag} name={each.name} tag={tag} />)}</tbody>
            </table>
          </div>
        </section>
      ))}
    </Page>
  );
}
