// Where the dashboard begins: the token, then the session, then the page that the address names.

import { render, type VNode } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';

import { parse, takeToken, type Route } from './lib/router';
import { Application, Applications } from './pages/applications';
import { Apply } from './pages/apply';
import { Cloud } from './pages/cloud';
import { Device } from './pages/device';
import { EventPage } from './pages/event';
import { Events } from './pages/events';
import { Fleet } from './pages/fleet';
import { Home } from './pages/home';
import { Inference } from './pages/inference';
import { Packages } from './pages/packages';
import { Part } from './pages/part';
import { SignIn } from './pages/sign_in';
import { Site, Sites } from './pages/sites';
import { Tokens } from './pages/tokens';
import { Session, SessionContext } from './state/session';
import { setTheme, theme } from './ui/screen';
import { Shell } from './ui/shell';

import 'uplot/dist/uPlot.min.css';
import './styles/base.css';
import './styles/shell.css';
import './styles/diagram.css';
import './styles/pages.css';


const KEY = 'selvedge-token';

/** For as long as the tab is open; a browser that forbids it asks again after a reload. */
const kept = {
  get: (): string => {
    try {
      return sessionStorage.getItem(KEY) ?? '';
    } catch {
      return '';
    }
  },
  set: (token: string): void => {
    try {
      if (token) sessionStorage.setItem(KEY, token);
      else sessionStorage.removeItem(KEY);
    } catch {
      // Then only this page has it.
    }
  },
};

/** A token that came with the address is taken out of it at once, and out of the history. */
function tokenOfAddress(): string {
  const found = takeToken(location.hash);
  if (!found) return '';
  history.replaceState(null, '', location.pathname + location.search + found.rest);
  return found.token;
}

function pageOf({ path, query }: Route): VNode {
  const [first = '', second] = path;
  switch (first) {
    case '':
      return <Home />;
    case 'devices':
      return second === undefined ? <Fleet query={query} /> : <Device key={second} name={second} />;
    case 'applications':
      return second === undefined ? <Applications /> : <Application key={second} name={second} />;
    case 'apply':
      return <Apply key={query.get('from') ?? ''} from={query.get('from') ?? ''} />;
    case 'events':
      return second === undefined ? <Events query={query} /> : <EventPage key={second} id={second} device={query.get('device') ?? ''} />;
    case 'sites':
      return second === undefined ? <Sites /> : <Site key={second} name={second} />;
    case 'packages':
      return <Packages />;
    case 'tokens':
      return <Tokens />;
    case 'inference':
      return <Inference />;
    case 'cloud':
      return <Cloud />;
    default:
      return <Part name={second ?? ''} />;
  }
}

function useRoute(onToken: (token: string) => void): Route {
  const [route, setRoute] = useState(() => parse(location.hash));
  useEffect(() => {
    const look = (): void => {
      const token = tokenOfAddress();
      if (token) onToken(token);
      setRoute(parse(location.hash));
    };
    addEventListener('hashchange', look);
    return () => removeEventListener('hashchange', look);
  }, []);
  return route;
}

function App({ first }: { first: string }): VNode {
  const [token, setToken] = useState(first);
  const [reason, setReason] = useState('');
  const signIn = (given: string): void => {
    kept.set(given);
    setReason('');
    setToken(given);
  };
  const signOut = (why: string): void => {
    kept.set('');
    setReason(why);
    setToken('');
  };
  const route = useRoute(signIn);
  const session = useMemo(
    () => (token ? new Session(token, () => signOut('This token is not accepted any more: it is wrong, withdrawn or expired.')) : null),
    [token],
  );
  useEffect(() => {
    session?.start();
    return () => session?.stop();
  }, [session]);
  if (!session) return <SignIn key={reason} reason={reason} onSignedIn={signIn} />;
  return (
    <SessionContext.Provider value={session}>
      <Shell current={route.path[0] ?? ''} onSignOut={() => signOut('')}>{pageOf(route)}</Shell>
    </SessionContext.Provider>
  );
}

setTheme(theme());
const given = tokenOfAddress();
if (given) kept.set(given);
const root = document.getElementById('app');
if (root) render(<App first={given || kept.get()} />, root);
