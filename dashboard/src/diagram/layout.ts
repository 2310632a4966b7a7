// Where the boxes stand and how the flows run between them, for a width in pixels. Pure geometry, no text is scaled.

import type { BoxId } from './model';

export interface Rect {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Path {
  /** Corners, first at the sender, last (with the arrow head) at the receiver. */
  points: [number, number][];
  /** Where the label stands, and how it is aligned to that point. */
  label: { x: number; y: number; align: 'middle' | 'start' | 'end' | 'rail' };
}

export interface Zone extends Rect {
  id: 'cloud' | 'edge';
  title: string;
}

export interface Layout {
  width: number;
  height: number;
  boxes: Record<BoxId, Rect>;
  flows: Record<string, Path>;
  zones: Zone[];
}

/** Narrower than this, the diagram runs from top to bottom. */
export const WIDE = 900;

export function layout(width: number): Layout {
  return width >= WIDE ? wide(width) : tall(Math.max(320, width));
}

const centre = (r: Rect): number => r.x + r.w / 2;
const middle = (r: Rect): number => r.y + r.h / 2;
const right = (r: Rect): number => r.x + r.w;
const bottom = (r: Rect): number => r.y + r.h;

function across(from: Rect, to: Rect, y: number, above: boolean): Path {
  const forth = from.x < to.x;
  const a = forth ? right(from) : from.x;
  const b = forth ? to.x : right(to);
  return { points: [[a, y], [b, y]], label: { x: (a + b) / 2, y: above ? y - 21 : y + 19, align: 'middle' } };
}

function along(from: Rect, to: Rect, x: number, side: 'start' | 'end'): Path {
  const down = from.y < to.y;
  const a = down ? bottom(from) : from.y;
  const b = down ? to.y : bottom(to);
  return { points: [[x, a], [x, b]], label: { x: side === 'start' ? x + 10 : x - 10, y: (a + b) / 2 - 2, align: side } };
}

function wide(width: number): Layout {
  const pad = 20;
  const gap = Math.round(Math.min(110, Math.max(80, width * 0.073)));
  const w = (width - 2 * pad - 4 * gap) / 5;
  const column = (n: number): number => pad + n * (w + gap);
  const top = 76;
  const h = 122;
  const low = top + h + 138;
  const tallBox = 172;
  const at = (n: number): Rect => ({ x: column(n), y: top, w, h });
  const boxes: Record<BoxId, Rect> = {
    training: at(0),
    optimizer: at(1),
    registry: at(2),
    fallback: at(3),
    cloud: at(4),
    inference: { x: column(0), y: low, w: 2 * w + gap, h: tallBox },
    devices: { x: column(2), y: low, w: 2 * w + gap, h: tallBox },
    gateway: { x: column(4), y: low, w, h: tallBox },
  };
  const { training, optimizer, registry, fallback, cloud, inference, devices, gateway } = boxes;
  const mid = middle(training);
  const lowMid = middle(devices);
  const over = top - 26;
  const flows: Record<string, Path> = {
    exports: across(training, optimizer, mid, true),
    variants: across(optimizer, registry, mid, true),
    deploys: along(registry, devices, centre(registry), 'start'),
    hard: along(devices, fallback, centre(fallback) - 14, 'end'),
    returns: along(fallback, devices, centre(fallback) + 14, 'start'),
    frames: across(devices, inference, lowMid - 16, true),
    detections: across(inference, devices, lowMid + 16, false),
    results: across(devices, gateway, lowMid - 16, true),
    down: across(gateway, devices, lowMid + 16, false),
    aggregates: along(gateway, cloud, centre(cloud) - 14, 'end'),
    desired: along(cloud, gateway, centre(cloud) + 14, 'start'),
    updates: {
      points: [[centre(cloud), cloud.y], [centre(cloud), over], [centre(registry), over], [centre(registry), registry.y]],
      label: { x: (centre(registry) + centre(cloud)) / 2, y: over - 8, align: 'middle' },
    },
  };
  const height = low + tallBox + 20;
  return {
    width,
    height,
    boxes,
    flows,
    zones: [
      { id: 'cloud', title: 'Cloud', x: 0, y: 0, w: width, h: top + h + 38 },
      { id: 'edge', title: 'Edge', x: 0, y: low - 44, w: width, h: height - low + 44 },
    ],
  };
}

function tall(width: number): Layout {
  const pad = 12;
  const rail = 30; // On the right, for the updates from the cloud to the registry.
  const gap = Math.round(Math.min(96, Math.max(28, width * 0.08)));
  const w = (width - 2 * pad - rail - gap) / 2;
  const c1 = pad;
  const c2 = pad + w + gap;
  const full = 2 * w + gap;
  const h = 112;
  const step = 72;
  let y = 40;
  const boxes = {} as Record<BoxId, Rect>;
  boxes.training = { x: c1, y, w, h: 104 };
  boxes.optimizer = { x: c2, y, w, h: 104 };
  y += 104 + 44;
  boxes.fallback = { x: c1, y, w, h };
  boxes.registry = { x: c2, y, w, h };
  y += h;
  const cloudEnd = y + 20;
  y += step + 28;
  const edgeBegin = y - 36;
  boxes.devices = { x: c1, y, w: full, h: 142 };
  y += 142 + step;
  const lines = w < 240 ? 198 : 158; // In a narrow box most lines take two.
  boxes.inference = { x: c1, y, w, h: lines };
  boxes.gateway = { x: c2, y, w, h: lines };
  y += lines;
  const edgeEnd = y + 20;
  y += step + 20;
  const secondCloud = y - 30;
  boxes.cloud = { x: c1, y, w: full, h };
  const height = y + h + 14;
  const { training, optimizer, registry, fallback, cloud, inference, devices, gateway } = boxes;
  const side = right(cloud) + 17;
  const label = (x: number, from: number, to: number, align: 'start' | 'end' | 'middle'): Path['label'] => ({
    x: align === 'start' ? x + 8 : align === 'end' ? x - 8 : x,
    y: (from + to) / 2 - 2,
    align,
  });
  const vertical = (x: number, from: number, to: number, align: 'start' | 'end'): Path => ({
    points: [[x, from], [x, to]],
    label: label(x, from, to, align),
  });
  const g1 = centre(gateway) - w * 0.14;
  const g2 = centre(gateway) + w * 0.14;
  const i1 = centre(inference) - w * 0.14;
  const i2 = centre(inference) + w * 0.14;
  const flows: Record<string, Path> = {
    exports: {
      points: [[right(training), middle(training)], [optimizer.x, middle(training)]],
      label: { x: right(training) + gap / 2, y: gap < 60 ? bottom(training) + 16 : middle(training) - 13, align: 'middle' },
    },
    variants: vertical(centre(registry), bottom(optimizer), registry.y, 'start'),
    deploys: vertical(centre(registry), bottom(registry), devices.y, 'start'),
    hard: vertical(centre(fallback) + 2, devices.y, bottom(fallback), 'end'),
    returns: vertical(centre(fallback) + 26, bottom(fallback), devices.y, 'start'),
    frames: vertical(i1, bottom(devices), inference.y, 'end'),
    detections: vertical(i2, inference.y, bottom(devices), 'start'),
    results: vertical(g1, bottom(devices), gateway.y, 'end'),
    down: vertical(g2, gateway.y, bottom(devices), 'start'),
    aggregates: vertical(g1, bottom(gateway), cloud.y, 'end'),
    desired: vertical(g2, cloud.y, bottom(gateway), 'start'),
    updates: {
      points: [[right(cloud), middle(cloud)], [side, middle(cloud)], [side, middle(registry)], [right(registry), middle(registry)]],
      label: { x: side + 9, y: middle(devices), align: 'rail' },
    },
  };
  return {
    width,
    height,
    boxes,
    flows,
    zones: [
      { id: 'cloud', title: 'Cloud', x: 0, y: 0, w: width, h: cloudEnd },
      { id: 'edge', title: 'Edge', x: 0, y: edgeBegin, w: width, h: edgeEnd - edgeBegin },
      { id: 'cloud', title: 'Cloud', x: 0, y: secondCloud, w: width, h: height - secondCloud },
    ],
  };
}
