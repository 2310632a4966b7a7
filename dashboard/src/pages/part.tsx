// Parts of the architecture that this fleet does not have: said as such.

import type { VNode } from 'preact';

import { count } from '../lib/format';
import { useFleet } from '../state/session';
import { Command, Empty, Page } from '../ui/parts';

interface Text {
  title: string;
  what: string;
  meanwhile: VNode;
}

const PARTS: Record<string, Text> = {
  training: {
    title: 'Training',
    what: 'Where a model is trained and exported. This control plane has no training set up, so there is nothing to show.',
    meanwhile: <>A model that was trained elsewhere comes in by the registry: <Command text="selvedge push NAME:TAG --card card.yaml" /></>,
  },
  optimizer: {
    title: 'Optimizer',
    what: 'Makes a model smaller and faster for each kind of hardware. This control plane has no optimizer set up.',
    meanwhile: <>A package may already hold several variants; each device measures them and takes the fastest that is right. What there is stands in the <a href="#/packages">registry</a>.</>,
  },
  fallback: {
    title: 'Fallback inference',
    what: 'A larger model in the cloud that answers for the frames a device is unsure about.',
    meanwhile: <>Every frame is decided on its device; see <a href="#/inference">local inference</a>.</>,
  },
};

export function Part({ name }: { name: string }): VNode {
  const frames = useFleet((state) => state.overview?.totals.fallback_frames ?? 0);
  const part = PARTS[name];
  if (!part) return <Page title="Not found"><Empty title="There is no such page"><a href="#/">To the overview</a></Empty></Page>;
  const there = name === 'fallback' && frames > 0;
  return (
    <Page title={part.title} lead={part.what}>
      <section class="card">
        {there ? (
          <p><b class="num">{count(frames)}</b> frames were answered by fallback inference.</p>
        ) : (
          <Empty icon="unlink" title="Not set up">{part.meanwhile}</Empty>
        )}
      </section>
    </Page>
  );
}
