// A bar whose parts add up, with a legend that gives each part's number and share. Patterns tell the parts apart without colour.

import type { VNode } from 'preact';

import { count, percent } from '../lib/format';

export interface StackPart {
  key: string;
  label: string;
  value: number;
  kind: string;
  /** In place of the count: "12 ms". */
  text?: string;
}

export function Stack({ parts, total, label }: { parts: StackPart[]; total: number; label: string }): VNode {
  return (
    <div class="stack">
      <div class="stack-bar" role="img" aria-label={label}>
        {parts.map((part) => (
          <span
            key={part.key}
            class={`stack-part ${part.kind}`}
            // Even the smallest part can be seen: one pixel at least.
            style={{ flexGrow: `${total > 0 ? part.value / total : 0}` }}
            title={`${part.label}: ${part.text ?? count(part.value)}`}
          />
        ))}
      </div>
      <ul class="stack-legend">
        {parts.map((part) => (
          <li key={part.key}>
            <span class={`swatch ${part.kind}`} aria-hidden="true" />
            <span class="stack-label">{part.label}</span>
            <span class="num">{part.text ?? count(part.value)}</span>
            <span class="num share">{percent(part.value, total)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}
