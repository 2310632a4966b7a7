// Addresses after the '#': "#/devices/pi-1?minutes=60" ⇄ {path: ["devices", "pi-1"], query}.

export interface Route {
  path: string[];
  query: URLSearchParams;
}

export function parse(hash: string): Route {
  const text = hash.replace(/^#\/?/, '');
  const mark = text.indexOf('?');
  const path = (mark < 0 ? text : text.slice(0, mark)).split('/').filter(Boolean);
  return { path: path.map(decode), query: new URLSearchParams(mark < 0 ? '' : text.slice(mark + 1)) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function href(path: string[], query: Record<string, string | undefined> = {}): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value) parameters.set(key, value);
  const tail = parameters.toString();
  return `#/${path.map(encodeURIComponent).join('/')}${tail ? `?${tail}` : ''}`;
}

/** Only addresses within the dashboard are followed: what the server names must not lead anywhere else. */
export function inside(target: string): string {
  return target.startsWith('#/') ? target : '#/';
}

/**
 * The token that a link brought along (`#token=…`), and the address without it.
 * Returns null where there is none.
 */
export function takeToken(hash: string): { token: string; rest: string } | null {
  const match = /^#token=([^&]+)(?:&(.*))?$/.exec(hash);
  if (!match?.[1]) return null;
  const rest = match[2] ?? '';
  return { token: decode(match[1]).trim(), rest: rest.startsWith('/') ? `#${rest}` : '#/' };
}
