// What the control plane says: docs/formats/api.md and docs/formats/event.md. Fields are only ever added, so whatever is not
// listed here is ignored, and whatever may be missing from an older control plane is optional.

/** Unix time in milliseconds. */
export type Millis = number;

export type DeviceStatus = 'online' | 'stale' | 'offline' | 'unreachable' | 'never';

export interface Ledger {
  in: number;
  local: number;
  cloud: number;
  stored: number;
  dropped: Record<string, number>;
}

export interface PipelineMetrics {
  fps: number;
  p50_ms: number;
  p90_ms: number;
  p99_ms: number;
  ledger: Ledger;
  model: string;
  engine: string;
  variant: string;
  precision: string;
  source_state: string;
  source_detail: string;
  ready: boolean;
  choice_reason: string;
  events_lost: number;
  /** "local-only", "crops" or "frames"; missing from an older control plane. */
  privacy?: string;
  ready_detail?: string;
  /** Of one processor, 0 to 1 and above. */
  cpu_share?: number;
  rss_mib?: number;
}

export interface Port {
  external: number;
  internal: number;
}

export interface Service {
  application: string;
  name: string;
  kind: string;
  version: string;
  digest: string;
  state: string;
  message: string;
  restarts: number;
  since_ms: Millis;
  progress: number;
  ports?: Port[];
  pipeline?: PipelineMetrics | null;
}

export interface Facts {
  arch?: string;
  cpu?: string;
  cores?: number;
  memory_mb?: number;
  os?: string;
  kernel?: string;
  hostname?: string;
  gpu?: number;
  tpu?: number;
  npu?: number;
  engines?: string[];
  cameras?: string[];
  containers?: boolean;
  disk_free_mb?: number;
}

export interface Outbox {
  waiting: number;
  accepted: number;
  dropped: number;
  bytes: number;
}

export interface Device {
  name: string;
  site: string;
  role: string;
  status: DeviceStatus;
  status_reason: string;
  status_since_ms?: Millis;
  failing?: boolean;
  joined_ms: Millis;
  last_seen_ms: Millis;
  version: string;
  labels: Record<string, string>;
  facts: Facts;
  declared: string[];
  generation: { desired: number; observed: number };
  in_sync: boolean;
  trouble: string;
  outbox: Outbox;
  agent_rss_mib: number;
  clock_offset_ms: number;
  /** 0 where it is not known. */
  temperature_celsius?: number;
  services: Service[];
}

export interface Site {
  name: string;
  gateway: Device | null;
  devices: number;
  online: number;
}

export interface Placement {
  device: string;
  site: string;
  fits: boolean;
  reasons: string[];
  state: string;
  message: string;
}

export interface Microservice {
  name: string;
  images: Record<string, string>;
  digest: string;
  version: string;
  kind: string;
  placements: Placement[];
}

export interface Application {
  name: string;
  applied_ms: Millis;
  manifest: string;
  microservices: Microservice[];
}

export interface ApplyAnswer {
  applied: boolean;
  applications: Application[];
}

export interface Trouble {
  severity: 'error' | 'warning' | string;
  what: string;
  href: string;
}

export interface Overview {
  time_ms: Millis;
  devices: { total: number; online: number; stale: number; offline: number; unreachable: number; failing: number };
  sites: { total: number; online: number };
  applications: number;
  packages: number;
  rates: {
    frames_per_s: number;
    detections_per_s: number;
    events_per_s: number;
    uplink_bytes_per_s: number;
    downlink_bytes_per_s: number;
    registry_bytes_per_s: number;
  };
  totals: {
    frames: number;
    events: number;
    events_duplicate: number;
    dropped_events: number;
    fallback_frames: number;
    registry_bytes: number;
  };
  latency: { p50_ms: number; p99_ms: number; event_to_cloud_p50_ms: number; event_to_cloud_p99_ms: number };
  trouble: Trouble[];
}

/** Numbers of 64 bits may be written as text of digits (docs/formats/event.md). */
export type Wide = number | string;

export interface Detection {
  label: string;
  class_id: number;
  score: number;
  box: { x1: number; y1: number; x2: number; y2: number };
  track: Wide;
}

export interface Decision {
  rule: string;
  kind: string;
  state: string;
  zone?: string;
  track?: Wide;
  value: number;
  threshold: number;
  direction?: string;
}

export interface EventRecord {
  id: string;
  device?: string;
  pipeline?: string;
  source?: string;
  site?: string;
  received_ms?: Millis;
  cursor?: string;
  model?: { name?: string; version?: string; digest?: string; variant?: string; engine?: string };
  captured_unix_ns: Wide;
  decided_unix_ns: Wide;
  frame: Wide;
  width: number;
  height: number;
  detections?: Detection[];
  decision?: Decision;
  provenance?: string;
  times?: Record<string, Wide>;
}

export interface Series {
  step_s: number;
  begin: Millis;
  services: Record<string, Record<string, (number | null)[]>>;
}

export interface PackageTag {
  tag: string;
  digest: string;
  size: number;
  variants: (string | Record<string, unknown>)[];
  pushed_ms: Millis;
}

export interface Package {
  name: string;
  tags: PackageTag[];
}

export interface TokenRecord {
  id: string;
  kind: string;
  role?: string;
  site?: string;
  name?: string;
  created_ms?: Millis;
  expires_ms?: Millis;
  /** The machine that joined with it; empty while nobody did. */
  spent_by?: string;
  via?: string;
  /** Only in the answer to the request that made it. */
  token?: string;
}

export interface Aggregate {
  begin_unix_ns: Wide;
  end_unix_ns: Wide;
  device: string;
  application: string;
  events?: Wide;
  counts?: { label?: string; zone?: string; rule?: string; count?: Wide; dwell_seconds?: number }[];
}

export interface List<T> {
  items: T[];
  next?: string;
}

export type StreamMessage =
  | { type: 'hello'; version: string; role?: string }
  | { type: 'overview'; overview: Overview }
  | { type: 'device'; device: Device }
  | { type: 'removed'; name?: string; application?: string }
  | { type: 'application'; application: Application }
  | { type: 'event'; event: EventRecord }
  | { type: 'gap' };
