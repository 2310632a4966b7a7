import { defineConfig } from 'vitest/config';

// The bundle is committed and embedded into the control plane, so the same sources must give the same bytes on every
// machine: names without hashes (the server sends entity tags), no source maps, nothing that reads the clock.
export default defineConfig({
  base: './',
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact', legalComments: 'none' },
  build: {
    target: ['es2021', 'chrome100', 'firefox100', 'safari16'],
    outDir: process.env['SELVEDGE_DASHBOARD_OUT'] ?? 'dist',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rollupOptions: {
      output: {
        entryFileNames: 'assets/app.js',
        chunkFileNames: 'assets/chart.js',
        assetFileNames: 'assets/app.[ext]',
      },
    },
  },
  test: { include: ['src/**/*.test.ts', 'dev/**/*.test.ts'], environment: 'node' },
});
