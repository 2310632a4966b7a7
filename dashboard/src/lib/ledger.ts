// The ledger as parts of a bar that add up: in = local + cloud + stored + dropped. What does not add up is shown, not hidden.

import type { Ledger } from '../api/types';

export interface Part {
  key: string;
  label: string;
  value: number;
  /** local, cloud, stored, dropped, missing: each has a colour and a pattern. */
  kind: 'local' | 'cloud' | 'stored' | 'dropped' | 'missing';
}

/** Parts with a value, biggest first within their kind; `in` less than the sum is told as `over`. */
export function parts(ledger: Ledger): { parts: Part[]; total: number; over: number } {
  const all: Part[] = [
    { key: 'local', label: 'decided on the device', value: ledger.local, kind: 'local' },
    { key: 'cloud', label: 'decided in the cloud', value: ledger.cloud, kind: 'cloud' },
    { key: 'stored', label: 'stored for later', value: ledger.stored, kind: 'stored' },
  ];
  const dropped = Object.entries(ledger.dropped ?? {}).sort((a, b) => b[1] - a[1]);
  for (const [reason, value] of dropped) {
    all.push({ key: `dropped-${reason}`, label: `dropped: ${reason.replace(/[_-]/g, ' ')}`, value, kind: 'dropped' });
  }
  const sum = all.reduce((total, part) => total + part.value, 0);
  // Frames that are inside the pipeline at this moment have come in and not yet ended.
  const missing = ledger.in - sum;
  if (missing > 0) all.push({ key: 'missing', label: 'on their way', value: missing, kind: 'missing' });
  return { parts: all.filter((part) => part.value > 0), total: Math.max(ledger.in, sum), over: Math.max(0, -missing) };
}

/** Sums of several ledgers. */
export function sum(ledgers: Ledger[]): Ledger {
  const total: Ledger = { in: 0, local: 0, cloud: 0, stored: 0, dropped: {} };
  for (const ledger of ledgers) {
    total.in += ledger.in;
    total.local += ledger.local;
    total.cloud += ledger.cloud;
    total.stored += ledger.stored;
    for (const [reason, value] of Object.entries(ledger.dropped ?? {})) {
      total.dropped[reason] = (total.dropped[reason] ?? 0) + value;
    }
  }
  return total;
}
