import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    restoreMocks: true,
    unstubEnvs: true,
    expect: { requireAssertions: true },
    sequence: {
      shuffle: { files: true, tests: true },
      seed: Number(process.env['TEST_SEED'] ?? Date.now()),
    },
    coverage: { provider: 'v8', include: ['src/**'] },
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            'test/{lib,core,env,wire,storage,metadata,replication,internal,coordinator,front,http,config,cli,nodes}/**/*.test.ts',
            'test/*.test.ts',
          ],
          pool: 'threads',
          testTimeout: 30_000,
        },
      },
      { test: { name: 'sim', include: ['test/sim/**/*.test.ts'], testTimeout: 120_000 } },
      {
        test: {
          name: 'process',
          include: ['test/{process,conformance,browser}/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})
