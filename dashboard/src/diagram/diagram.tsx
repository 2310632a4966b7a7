// The architecture, drawn: boxes are links, flows are lines with labels. Lines move only while the numbers are live.

import type { VNode } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';

import type { Device, Ledger } from '../api/types';
import { percent } from '../lib/format';
import { parts } from '../lib/ledger';
import { HealthMark, Icon } from '../ui/icons';
import { HEALTHS, health, healthCounts, isDevice, sorted } from '../state/fleet';
import { layout, type Path, type Rect } from './layout';
import type { Box, Diagram as Model, Flow, FlowKind } from './model';

const CORNER = 10;
/** More devices than this are drawn as one bar. */
const NAMED = 8;

/** Corners are rounded; the end is shortened so that the arrow's tip touches the box. */
export function draw(points: Path['points']): string {
  return points
    .map(([x, y], i) => {
      const before = points[i - 1];
      const after = points[i + 1];
      if (!before) return `M${x} ${y}`;
      if (!after) return `L${toward([x, y], before, 6).join(' ')}`;
      const round = Math.min(CORNER, Math.hypot(before[0] - x, before[1] - y) / 2, Math.hypot(after[0] - x, after[1] - y) / 2);
      const a = toward([x, y], before, round);
      const b = toward([x, y], after, round);
      return `L${a.join(' ')}Q${x} ${y} ${b.join(' ')}`;
    })
    .join('');
}

function toward([x, y]: [number, number], [tx, ty]: [number, number], by: number): [number, number] {
  const length = Math.hypot(tx - x, ty - y);
  const share = length ? Math.min(1, by / length) : 0;
  return [x + (tx - x) * share, y + (ty - y) * share];
}

const place = (r: Rect): Record<string, string> => ({
  left: `${r.x}px`,
  top: `${r.y}px`,
  width: `${r.w}px`,
  height: `${r.h}px`,
});

const STATE_WORDS = { ok: '', idle: '', warning: 'attention', error: 'trouble', absent: '' };

function BoxLink({ box, rect, children }: { box: Box; rect: Rect; children?: VNode | null }): VNode {
  return (
    <a class={`box ${box.state}`} href={box.href} style={place(rect)} data-box={box.id}>
      <span class="box-title">
        {box.title}
        {box.state === 'error' || box.state === 'warning' ? (
          <span class="box-state"><Icon name={box.state} size={16} /><span class="hidden">{STATE_WORDS[box.state]}</span></span>
        ) : null}
      </span>
      <span class="box-number">
        {box.value ? <b class="num">{box.value}</b> : null} <span>{box.unit}</span>
      </span>
      {box.alarm ? <span class="box-alarm">{box.alarm}</span> : null}
      {box.lines.map((line) => <span key={line} class="box-line num">{line}</span>)}
      {children}
    </a>
  );
}

function FlowLine({ flow, path, moving }: { flow: Flow; path: Path; moving: boolean }): VNode {
  const d = draw(path.points);
  const seconds = flow.pace ? (2.6 - 2.1 * flow.pace).toFixed(2) : '0';
  return (
    <g class={`flow ${flow.kind} ${flow.absent ? 'absent' : ''}`}>
      <path class="flow-line" d={d} marker-end={`url(#tip-${flow.absent ? 'absent' : flow.kind})`} />
      {flow.pace && moving ? <path class="flow-pulse" d={d} style={{ animationDuration: `${seconds}s` }} /> : null}
    </g>
  );
}

function FlowLabel({ flow, path }: { flow: Flow; path: Path }): VNode {
  const { x, y, align } = path.label;
  return (
    <div class={`flow-label ${flow.kind} ${align} ${flow.absent ? 'absent' : ''}`} style={{ left: `${x}px`, top: `${y}px` }}>
      <span>{flow.label}</span>
      {flow.rate ? <span class="num flow-rate">{flow.rate}</span> : null}
    </div>
  );
}

/** The devices one by one while they are few; as a bar of states when they are many. */
function DeviceMarks({ devices }: { devices: Device[] }): VNode | null {
  if (!devices.length) return null;
  if (devices.length <= NAMED) {
    return (
      <span class="device-marks">
        {sorted(devices, 'name', false).map((device) => (
          <span key={device.name} class="device-mark"><HealthMark health={health(device)} bare />{device.name}</span>
        ))}
      </span>
    );
  }
  const counts = healthCounts(devices);
  const there = HEALTHS.filter((state) => counts[state]);
  return (
    <span class="device-bar" role="img" aria-label={there.map((state) => `${counts[state]} ${state}`).join(', ')}>
      {[...there].reverse().map((state) => (
        <span key={state} class={`bar-part ${state}`} style={{ flexGrow: `${counts[state]}` }} />
      ))}
    </span>
  );
}

/** Where all frames went, in one line. */
function MiniLedger({ ledger }: { ledger: Ledger }): VNode | null {
  const { parts: all, total } = parts(ledger);
  if (!total) return null;
  const lost = Object.values(ledger.dropped).reduce((sum, value) => sum + value, 0);
  return (
    <span class="mini-ledger">
      <span class="stack-bar" aria-hidden="true">
        {all.map((part) => <span key={part.key} class={`stack-part ${part.kind}`} style={{ flexGrow: `${part.value / total}` }} />)}
      </span>
      <span class="num">{percent(ledger.local, total)} decided here · {percent(lost, total)} dropped</span>
    </span>
  );
}

const KINDS: [FlowKind, string][] = [
  ['cloud', 'cloud'],
  ['edge', 'edge'],
  ['optimise', 'optimisation'],
  ['sync', 'sync'],
];

function Legend(): VNode {
  return (
    <ul class="legend" aria-label="Kinds of lines">
      {KINDS.map(([kind, word]) => (
        <li key={kind}>
          <svg width="34" height="8" aria-hidden="true" class={`flow ${kind}`}><path class="flow-line" d="M1 4H33" /></svg>
          {word}
        </li>
      ))}
      <li>
        <svg width="34" height="8" aria-hidden="true" class="flow absent"><path class="flow-line" d="M1 4H33" /></svg>
        not set up
      </li>
    </ul>
  );
}

export interface DiagramProps {
  model: Model;
  devices: ReadonlyMap<string, Device>;
  live: boolean;
}

export function Diagram({ model, devices, live }: DiagramProps): VNode {
  const host = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const element = host.current;
    if (!element) return;
    setWidth(element.clientWidth);
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const plan = layout(width || 1160);
  const shown = [...devices.values()].filter(isDevice);
  return (
    <section aria-label="The system, from training to the cloud">
      <div ref={host} class={`diagram ${live ? '' : 'still'}`} style={{ height: `${plan.height}px` }}>
        {plan.zones.map((zone) => (
          <div key={`${zone.id}${zone.y}`} class={`zone ${zone.id}`} style={place(zone)}><span>{zone.title}</span></div>
        ))}
        <svg class="flows" width={plan.width} height={plan.height} aria-hidden="true">
          <defs>
            {[...KINDS.map(([kind]) => kind as string), 'absent'].map((kind) => (
              <marker key={kind} id={`tip-${kind}`} class={`flow ${kind}`} viewBox="0 0 10 10" refX="4" refY="5" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto">
                <path class="tip" d="M0 0 10 5 0 10 2.5 5z" />
              </marker>
            ))}
          </defs>
          {model.flows.map((flow) => {
            const path = plan.flows[flow.id];
            return path ? <FlowLine key={flow.id} flow={flow} path={path} moving={live} /> : null;
          })}
        </svg>
        {Object.values(model.boxes).map((box) => (
          <BoxLink key={box.id} box={box} rect={plan.boxes[box.id]}>
            {box.id === 'devices' ? <DeviceMarks devices={shown} /> : box.id === 'inference' ? <MiniLedger ledger={model.ledger} /> : null}
          </BoxLink>
        ))}
        {model.flows.map((flow) => {
          const path = plan.flows[flow.id];
          return path ? <FlowLabel key={flow.id} flow={flow} path={path} /> : null;
        })}
      </div>
      <Legend />
    </section>
  );
}
