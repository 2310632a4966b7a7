// A plain editor with line numbers; lines with an error are marked and say why. Tab leaves it, as everywhere else.

import type { VNode } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

import type { ManifestError } from '../lib/manifest_error';
import { Icon } from './icons';

export interface EditorProps {
  label: string;
  value: string;
  errors: ManifestError[];
  onChange: (value: string) => void;
}

export function Editor({ label, value, errors, onChange }: EditorProps): VNode {
  const area = useRef<HTMLTextAreaElement>(null);
  const gutter = useRef<HTMLDivElement>(null);
  const lines = value.split('\n');
  const wrong = new Map(errors.filter((error) => error.line).map((error) => [error.line, error.message]));

  const goTo = (line: number): void => {
    const element = area.current;
    if (!element) return;
    const begin = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
    element.focus();
    element.setSelectionRange(begin, begin + (lines[line - 1]?.length ?? 0));
    element.scrollTop = Math.max(0, (line - 5) * LINE);
  };
  const first = errors[0]?.line ?? 0;
  const told = errors.map((error) => `${error.line}:${error.message}`).join('\n');
  useEffect(() => {
    if (first) goTo(first);
  }, [told]);

  return (
    <div class="editor-frame">
      <div class="editor">
        <div ref={gutter} class="gutter" aria-hidden="true">
          {lines.map((_, i) => (
            <span key={i} class={wrong.has(i + 1) ? 'wrong' : ''}>{wrong.has(i + 1) ? '▸ ' : ''}{i + 1}</span>
          ))}
        </div>
        <textarea
          ref={area}
          aria-label={label}
          aria-invalid={errors.length > 0}
          aria-describedby={errors.length ? 'editor-errors' : undefined}
          spellcheck={false}
          autocomplete="off"
          wrap="off"
          value={value}
          onInput={(event) => onChange(event.currentTarget.value)}
          onScroll={(event) => {
            if (gutter.current) gutter.current.style.transform = `translateY(${-event.currentTarget.scrollTop}px)`;
          }}
        />
      </div>
      {errors.length ? (
        <ul id="editor-errors" class="editor-errors" role="alert">
          {errors.map((error) => (
            <li key={`${error.line}${error.message}`}>
              <Icon name="error" size={16} />
              {error.line ? <button type="button" class="plain" onClick={() => goTo(error.line)}>Line {error.line}</button> : null}
              <span>{error.message}</span>
            </li>
          ))}
        </ul>
      ) : null}
    </div>
  );
}

/** The height of a line, as the style sheet has it. */
const LINE = 20;
