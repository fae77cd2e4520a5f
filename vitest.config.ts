import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/longest-first.ts'

// The processes that tests start read our sources compiled once for all of them: half of the time that they take to start.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('.cache/compiled', import.meta.url))

export default defineConfig({
  // Our own sources under the package's name, as in the snippets of the documentation.
  ssr: { resolve: { conditions: ['@spillway/source'] } },
  test: {
    include: [
      'src/**/*.test.ts',
      'test/**/*.test.ts',
      'bench/**/*.test.ts',
      'docs/**/*.test.ts',
      'scripts/**/*.test.ts',
    ],
    testTimeout: 30_000,
    hookTimeout: 120_000,
    sequence: { sequencer: LongestFirst },
    // Two cores are what contributors and CI have; servers run beside the tests. Most long tests wait: CI takes one more.
    maxWorkers: Number(process.env.SPILLWAY_WORKERS ?? 2),
  },
})
