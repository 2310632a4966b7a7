// Errors of a manifest, with the line each is about: `edge.yaml:12: spec.placements[0].operator: unknown operator …`.

import type { ErrorBody } from '../api/client';

export interface ManifestError {
  /** From 1; 0 where the message names none. */
  line: number;
  message: string;
}

const AT_LINE = /^(?:[^\s:]*[^\s:\d][^\s:]*:)?(\d+):(?:\d+:)?\s*(.*)$/;
const IN_WORDS = /\bline (\d+)\b/;

/** One entry for each line of the message; lines beyond the manifest's last are put on the last. */
export function manifestErrors(body: ErrorBody, lines: number): ManifestError[] {
  const found: ManifestError[] = [];
  for (const text of (body.message ?? '').split('\n')) {
    const trimmed = text.trim();
    if (!trimmed) continue;
    const match = AT_LINE.exec(trimmed);
    const inWords = IN_WORDS.exec(trimmed);
    const line = match ? Number(match[1]) : inWords ? Number(inWords[1]) : 0;
    found.push({ line, message: (match ? match[2] : trimmed) || trimmed });
  }
  const only = found.length === 1 ? found[0] : undefined;
  if (only && !only.line && body.line) only.line = body.line;
  for (const error of found) error.line = Math.min(error.line, Math.max(1, lines));
  return found;
}
