import { describe, expect, it } from 'vitest';

import { Fleet } from '../../dev/fleet.mjs';
import { layout, WIDE, type Rect } from './layout';
import { diagram, pace } from './model';

function of(change: (fleet: Fleet) => void = () => undefined, size = 3): ReturnType<typeof diagram> {
  const fleet = new Fleet({ size });
  change(fleet);
  return diagram(fleet.overview(), fleet.devices);
}

const flow = (model: ReturnType<typeof diagram>, id: string): ReturnType<typeof diagram>['flows'][number] => {
  const found = model.flows.find((each) => each.id === id);
  if (!found) throw new Error(`no flow ${id}`);
  return found;
};

describe('the diagram', () => {
  it('invents nothing for parts that the fleet does not have', () => {
    const { boxes, flows } = of();
    for (const id of ['training', 'optimizer', 'fallback'] as const) {
      expect(boxes[id]).toMatchObject({ state: 'absent', value: '', unit: 'not set up', alarm: '' });
    }
    for (const id of ['exports', 'variants', 'hard', 'returns']) {
      expect(flows.find((each) => each.id === id)).toMatchObject({ absent: true, rate: '', pace: 0 });
    }
  });

  it('shows fallback once it answered a frame', () => {
    const fleet = new Fleet({ size: 3 });
    const overview = fleet.overview();
    overview.totals.fallback_frames = 12;
    const model = diagram(overview, fleet.devices);
    expect(model.boxes.fallback).toMatchObject({ state: 'ok', value: '12' });
    expect(flow(model, 'hard').absent).toBe(false);
  });

  it('is calm when nothing is wrong', () => {
    const { boxes } = of();
    expect(Object.values(boxes).filter((box) => box.alarm)).toEqual([]);
    expect(boxes.devices).toMatchObject({ value: '3 / 3', unit: 'online', state: 'ok' });
    expect(boxes.inference.lines).toContain('3 pipelines running');
  });

  it('says in words what is wrong, and where', () => {
    const { boxes } = of((fleet) => {
      fleet.script('fail', 'jetson-1');
      fleet.script('offline', 'pi-1');
    });
    expect(boxes.devices).toMatchObject({ state: 'error', alarm: '1 failing, 1 offline', value: '2 / 3' });
    expect(boxes.inference).toMatchObject({ state: 'error', alarm: '1 pipeline failing' });
    expect(boxes.gateway.state).toBe('ok');
  });

  it('blames the gateway, not its devices, when it is lost', () => {
    const { boxes } = of((fleet) => fleet.script('offline', 'plant-1-gateway'));
    expect(boxes.gateway).toMatchObject({ state: 'error', alarm: 'plant-1-gateway is lost', value: '0 / 1' });
    expect(boxes.devices).toMatchObject({ state: 'warning', alarm: '' });
    expect(boxes.devices.lines.join()).toContain('3 unreachable');
  });

  it('says that a fleet without gateways has none', () => {
    const model = of((fleet) => fleet.devices.delete('plant-1-gateway'));
    expect(model.boxes.gateway).toMatchObject({ state: 'absent', unit: 'not set up' });
    expect(flow(model, 'aggregates').absent).toBe(true);
    expect(flow(model, 'results').absent).toBe(true);
  });

  it('is honest about an empty fleet', () => {
    const fleet = new Fleet({ size: 3, empty: true });
    const { boxes, ledger } = diagram(fleet.overview(), fleet.devices);
    expect(boxes.devices).toMatchObject({ value: '0', unit: 'no device has joined yet' });
    expect(boxes.inference.state).toBe('idle');
    expect(ledger.in).toBe(0);
  });

  it('gives flows their rates, and stands still at zero', () => {
    const model = of();
    expect(flow(model, 'frames').rate).toMatch(/\/s$/);
    expect(flow(model, 'frames').pace).toBeGreaterThan(0);
    expect(flow(model, 'deploys')).toMatchObject({ rate: '0 B/s', pace: 0 });
    expect(pace(0, 100)).toBe(0);
    expect(pace(1e9, 100)).toBe(1);
    expect(pace(10, 100)).toBeLessThan(pace(50, 100));
  });
});

const overlap = (a: Rect, b: Rect): boolean => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

describe('the layout', () => {
  for (const width of [320, 358, 700, WIDE - 1, WIDE, 1160, 1320]) {
    it(`keeps boxes apart and inside at ${width} pixels`, () => {
      const plan = layout(width);
      const boxes = Object.values(plan.boxes);
      boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) => expect(overlap(a, b)).toBe(false)));
      for (const box of boxes) {
        expect(box.x).toBeGreaterThanOrEqual(0);
        expect(box.x + box.w).toBeLessThanOrEqual(plan.width);
        expect(box.y + box.h).toBeLessThanOrEqual(plan.height);
      }
    });

    it(`draws every flow, from the edge of a box, at ${width} pixels`, () => {
      const plan = layout(width);
      const touches = ([x, y]: [number, number], r: Rect): boolean =>
        x >= r.x - 0.5 && x <= r.x + r.w + 0.5 && y >= r.y - 0.5 && y <= r.y + r.h + 0.5;
      for (const each of of().flows) {
        const path = plan.flows[each.id];
        const first = path?.points[0];
        const final = path?.points[path.points.length - 1];
        expect(first && touches(first, plan.boxes[each.from]), `${each.id} begins at ${each.from}`).toBe(true);
        expect(final && touches(final, plan.boxes[each.to]), `${each.id} ends at ${each.to}`).toBe(true);
      }
    });
  }
});
