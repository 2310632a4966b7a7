// Curves over time, drawn by uPlot. A gap in the data is a gap in the curve. The text below says the same without looking.

import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type uPlot from 'uplot';

import { clock } from '../lib/format';
import { last, type Column } from '../lib/series';

export interface Curve {
  label: string;
  /** A custom property: "--green". */
  color: string;
  dash?: number[];
  width?: number;
}

export interface ChartProps {
  title: string;
  unit: string;
  x: number[];
  curves: Curve[];
  values: Column[];
  height?: number;
  format: (value: number | null) => string;
  /** Old numbers, drawn grey. */
  grey?: boolean;
  /** Charts of one page show the same moment. */
  sync?: string;
}

/** Fetched with the first curve: most visits look at the diagram only. */
const library = (): Promise<typeof uPlot> => import('uplot').then((module) => module.default);

/** The colour that a custom property has here and now; a canvas cannot look it up. */
function colour(at: Element, property: string): string {
  const probe = document.createElement('i');
  probe.style.color = `var(${property})`;
  at.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function axes(at: Element, format: ChartProps['format']): uPlot.Axis[] {
  const look = {
    stroke: colour(at, '--muted'),
    font: '12px system-ui, sans-serif',
    grid: { stroke: colour(at, '--line'), width: 1 },
    ticks: { show: false },
  };
  return [
    { ...look, grid: { show: false }, space: 70, size: 30, values: (_, splits, __, ___, step) => splits.map((at) => (step < 60 ? clock(at * 1000) : clock(at * 1000).slice(0, 5))) },
    { ...look, size: 58, space: 34, values: (_, splits) => splits.map((value) => format(value)) },
  ];
}

/** While nobody points at a moment, the legend tells the newest. */
function newest(plot: uPlot): void {
  if (plot.cursor.idx !== null && plot.cursor.idx !== undefined) return;
  // The step that is under way has no value yet.
  const steps = plot.data.slice(1).map((column) => last(column as Column)?.steps ?? Infinity);
  const back = Math.min(...steps);
  if (Number.isFinite(back)) plot.setLegend({ idx: (plot.data[0]?.length ?? 0) - 1 - back }, false);
}

function options(at: HTMLElement, props: ChartProps): uPlot.Options {
  const { curves, unit, format, height = 170, grey, sync } = props;
  return {
    width: at.clientWidth,
    height,
    cursor: { ...(sync ? { sync: { key: sync } } : {}), drag: { x: false, y: false }, points: { size: 6 } },
    legend: { live: true },
    hooks: { setCursor: [newest], setData: [newest], ready: [newest] },
    scales: { x: { time: true }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: axes(at, format),
    series: [
      { label: 'At', value: (_, at: number | null) => (at === null || at === undefined ? '–' : clock(at * 1000)) },
      ...curves.map((curve): uPlot.Series => ({
        label: curve.label,
        stroke: grey ? colour(at, '--muted') : colour(at, curve.color),
        width: curve.width ?? 1.75,
        ...(curve.dash ? { dash: curve.dash } : {}),
        spanGaps: false,
        points: { show: false },
        value: (_, value: number | null) => (value === null || value === undefined ? '–' : `${format(value)}${unit}`),
      })),
    ],
  };
}

const dataOf = ({ x, values }: ChartProps): uPlot.AlignedData => [x, ...values];

export function Chart(props: ChartProps): VNode {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [look, setLook] = useState(0);
  const [failed, setFailed] = useState(false);
  const latest = useRef(props);
  latest.current = props;
  const { title, x, values, curves, grey } = props;

  useEffect(() => {
    const redraw = (): void => setLook((n) => n + 1);
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    scheme.addEventListener('change', redraw);
    addEventListener('selvedge-theme', redraw);
    return () => {
      scheme.removeEventListener('change', redraw);
      removeEventListener('selvedge-theme', redraw);
    };
  }, []);

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    let current = true;
    const resize = new ResizeObserver(() => {
      const made = plot.current;
      if (made && element.clientWidth && element.clientWidth !== made.width) {
        made.setSize({ width: element.clientWidth, height: made.height });
      }
    });
    library().then(
      (Plot) => {
        if (!current) return;
        plot.current = new Plot(options(element, latest.current), dataOf(latest.current), element);
        resize.observe(element);
      },
      () => setFailed(true),
    );
    return () => {
      current = false;
      resize.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [look, grey, curves.map((curve) => curve.label).join()]);

  useEffect(() => plot.current?.setData(dataOf(latest.current)), [x, values]);

  return (
    <figure class={`chart ${grey ? 'grey' : ''}`}>
      <figcaption>{title}</figcaption>
      {failed ? <p class="muted">The drawing part of the dashboard could not be fetched; load the page again.</p> : null}
      <div ref={host} class="chart-host" role="img" aria-label={describe(props)} />
    </figure>
  );
}

/** What somebody who does not see the curve is told: the newest value of each. */
function describe({ title, curves, values, format, unit }: ChartProps): string {
  const said = curves.map((curve, i) => {
    const known = (values[i] ?? []).filter((value): value is number => value !== null);
    const newest = known[known.length - 1];
    return `${curve.label} ${newest === undefined ? 'unknown' : `${format(newest)}${unit}`}`;
  });
  return `${title}: ${said.join(', ')}`;
}
