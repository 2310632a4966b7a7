// Small pieces that every page uses.

import type { ComponentChildren, VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

import { ago, moment, NOTHING, span } from '../lib/format';
import { useNow } from '../state/session';
import { Icon } from './icons';

export interface PageProps {
  title: string;
  /** What stands above the title: the way back. */
  crumbs?: ComponentChildren;
  /** Buttons beside the title. */
  actions?: ComponentChildren;
  lead?: ComponentChildren;
  children: ComponentChildren;
}

/** A page names itself in the window's title, and takes the focus when it appears, so that a screen reader says where one is. */
export function Page({ title, crumbs, actions, lead, children }: PageProps): VNode {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · Selvedge`;
    heading.current?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [title]);
  return (
    <div class="page">
      <header class="page-head">
        <div>
          {crumbs ? <nav class="crumbs" aria-label="Breadcrumbs">{crumbs}</nav> : null}
          <h1 ref={heading} tabIndex={-1}>{title}</h1>
          {lead ? <div class="lead">{lead}</div> : null}
        </div>
        {actions ? <div class="actions">{actions}</div> : null}
      </header>
      {children}
    </div>
  );
}

export function Empty({ title, children, icon }: { title: string; children?: ComponentChildren; icon?: string }): VNode {
  return (
    <div class="empty">
      {icon ? <Icon name={icon} size={30} /> : null}
      <p class="empty-title">{title}</p>
      {children ? <div class="empty-text">{children}</div> : null}
    </div>
  );
}

export function Problem({ text, retry }: { text: string; retry?: () => void }): VNode {
  return (
    <div class="problem" role="alert">
      <Icon name="error" />
      <span>{text}</span>
      {retry ? <button type="button" onClick={retry}>Try again</button> : null}
    </div>
  );
}

export function Loading({ what }: { what: string }): VNode {
  return <p class="loading" role="status">Loading {what}…</p>;
}

/** A time that tells its age; the whole moment stands in the tooltip. */
export function Age({ at }: { at: number | undefined }): VNode {
  const now = useNow();
  return <time title={moment(at, 0)}>{ago(at, now)}</time>;
}

/** How long something has lasted. */
export function Lasting({ since }: { since: number }): VNode {
  const now = useNow();
  return <time class="num" title={moment(since, 0)}>{since > 0 ? span(now - since) : NOTHING}</time>;
}

export function Copy({ text, label = 'Copy' }: { text: string; label?: string }): VNode {
  const [done, setDone] = useState('');
  const copy = (): void => {
    const say = (word: string): void => {
      setDone(word);
      setTimeout(() => setDone(''), 2000);
    };
    // Without a secure context there is no clipboard; the text can still be selected.
    if (!navigator.clipboard) say('select it by hand');
    else navigator.clipboard.writeText(text).then(() => say('copied'), () => say('not allowed'));
  };
  return (
    <button type="button" class="copy" onClick={copy}>
      <Icon name={done === 'copied' ? 'check' : 'copy'} size={16} />
      <span aria-live="polite">{done || label}</span>
    </button>
  );
}

/** A command to paste. */
export function Command({ text }: { text: string }): VNode {
  return (
    <div class="command">
      <code>{text}</code>
      <Copy text={text} />
    </div>
  );
}

export interface DialogProps {
  title: string;
  open: boolean;
  onClose: () => void;
  children: ComponentChildren;
  wide?: boolean;
}

export function Dialog({ title, open, onClose, children, wide = false }: DialogProps): VNode | null {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    if (open && element && !element.open) element.showModal();
  }, [open]);
  if (!open) return null;
  return (
    <dialog ref={dialog} class={wide ? 'wide' : ''} aria-label={title} onClose={onClose}>
      <header>
        <h2>{title}</h2>
        <button type="button" class="plain" aria-label="Close" onClick={() => dialog.current?.close()}>
          <Icon name="close" />
        </button>
      </header>
      {children}
    </dialog>
  );
}

export interface ConfirmProps {
  title: string;
  action: string;
  open: boolean;
  onClose: () => void;
  /** Answers an error in one sentence, or nothing where it worked. */
  onConfirm: () => Promise<string>;
  children: ComponentChildren;
}

export function Confirm({ title, action, open, onClose, onConfirm, children }: ConfirmProps): VNode | null {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const confirm = async (): Promise<void> => {
    setBusy(true);
    const problem = await onConfirm();
    setBusy(false);
    setError(problem);
    if (!problem) onClose();
  };
  return (
    <Dialog title={title} open={open} onClose={onClose}>
      <div class="dialog-text">{children}</div>
      {error ? <Problem text={error} /> : null}
      <footer>
        <button type="button" onClick={onClose}>Cancel</button>
        <button type="button" class="danger" disabled={busy} onClick={() => void confirm()}>{action}</button>
      </footer>
    </Dialog>
  );
}

export function Field({ label, children, hint }: { label: string; children: ComponentChildren; hint?: string }): VNode {
  return (
    <label class="field">
      <span>{label}</span>
      {children}
      {hint ? <small>{hint}</small> : null}
    </label>
  );
}

export interface SelectProps {
  label: string;
  value: string;
  options: [value: string, text: string][];
  onChange: (value: string) => void;
}

export function Select({ label, value, options, onChange }: SelectProps): VNode {
  return (
    <label class="field inline">
      <span>{label}</span>
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([key, text]) => <option key={key} value={key}>{text}</option>)}
      </select>
    </label>
  );
}

/** Tells what is true while typing in a field must not make keys do something else. */
export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}
