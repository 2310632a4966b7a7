// @ts-check
// The devices of a scripted fleet, as docs/formats/api.md describes them.

/** @typedef {import('../src/api/types').Device} Device */
/** @typedef {import('../src/api/types').Service} Service */

/** What each hardware is like; `p50` in milliseconds. */
const HARDWARE = {
  jetson: { arch: 'arm64', cpu: 'Cortex-A78AE', cores: 8, memory_mb: 16000, p50: 9, labels: { tpu: 'coral', gpu: '1' }, declared: ['gpu', 'tpu'] },
  'raspberry-pi': { arch: 'arm64', cpu: 'Cortex-A76', cores: 4, memory_mb: 8000, p50: 41, labels: {}, declared: [] },
  x86: { arch: 'x86', cpu: 'N100', cores: 4, memory_mb: 16000, p50: 14, labels: {}, declared: [] },
};

/** @typedef {keyof typeof HARDWARE} Hardware */

/**
 * @param {{name: string, site: string, hardware: Hardware, now: number, version?: string}} of
 * @returns {Device}
 */
export function makeDevice({ name, site, hardware, now, version = '0.2.0' }) {
  const like = HARDWARE[hardware];
  return {
    name,
    site,
    role: 'device',
    status: 'online',
    status_reason: '',
    failing: false,
    joined_ms: now - 86400000,
    last_seen_ms: now,
    version,
    labels: { hardware, ...like.labels },
    facts: {
      arch: like.arch,
      cpu: like.cpu,
      cores: like.cores,
      memory_mb: like.memory_mb,
      os: 'Debian GNU/Linux 12 (bookworm)',
      kernel: '6.1.0-25',
      hostname: name,
      gpu: hardware === 'jetson' ? 1 : 0,
      tpu: hardware === 'jetson' ? 1 : 0,
      npu: 0,
      engines: ['onnxruntime 1.31.1', 'openvino 2026.4.1'],
      cameras: ['yard'],
      containers: hardware !== 'raspberry-pi',
      disk_free_mb: 21400,
    },
    declared: like.declared,
    generation: { desired: 4, observed: 4 },
    in_sync: true,
    trouble: '',
    outbox: { waiting: 0, accepted: 1204, dropped: 0, bytes: 8192 },
    agent_rss_mib: 9.1,
    clock_offset_ms: 12,
    services: [],
  };
}

/**
 * @param {string} name
 * @param {string} site
 * @param {number} now
 * @returns {Device}
 */
export function makeGateway(name, site, now) {
  const device = makeDevice({ name, site, hardware: 'x86', now });
  return {
    ...device,
    role: 'gateway',
    labels: {},
    facts: { ...device.facts, cameras: [], engines: [] },
    outbox: { waiting: 3, accepted: 48120, dropped: 0, bytes: 40960 },
    agent_rss_mib: 22.4,
  };
}

/**
 * @param {Device} device
 * @param {{application: string, name: string, digest: string, version: string, port: number, privacy: string}} of
 * @param {number} now
 * @returns {Service}
 */
export function makeService(device, of, now) {
  const hardware = /** @type {Hardware} */ (device.labels['hardware'] ?? 'x86');
  const p50 = HARDWARE[hardware]?.p50 ?? 20;
  return {
    application: of.application,
    name: of.name,
    kind: 'pipeline',
    version: of.version,
    digest: of.digest,
    state: 'running',
    message: '',
    restarts: 0,
    since_ms: now - 5400000,
    progress: 1,
    ports: [{ external: of.port, internal: of.port }],
    pipeline: {
      fps: 10,
      p50_ms: p50,
      p90_ms: p50 * 1.3,
      p99_ms: p50 * 1.8,
      ledger: { in: 54210, local: 53870, cloud: 0, stored: 0, dropped: { overload: 302, stale: 36 } },
      model: 'person-ssdlite 1.0.0',
      engine: hardware === 'x86' ? 'openvino' : 'onnxruntime',
      variant: hardware === 'jetson' ? 'fp16' : 'fp32',
      precision: hardware === 'jetson' ? 'f16' : 'f32',
      source_state: 'running',
      source_detail: '768x576',
      ready: true,
      choice_reason: `Fastest of 4 candidates that agree with the reference: ${p50} ms, the next ${Math.round(p50 * 1.4)} ms.`,
      events_lost: 0,
      privacy: of.privacy,
    },
  };
}
