/** The scenarios of a long queue: a million, and ten on demand. */
import type { FiguresScenario } from '../figures.ts'
import { runQueue } from './run.ts'

const domains = 10_000

export const queueScenarios: readonly FiguresScenario[] = [
  {
    kind: 'figures',
    name: 'queue-100k',
    title: 'a queue of 100,000 deferred recipients over 10,000 domains',
    isOnDemand: true,
    run: async context =>
      await runQueue(context, { recipients: 100_000, domains, bodySizeBytes: 1024, isDrainedWhole: true }),
  },
  {
    kind: 'figures',
    name: 'queue-1m',
    title: 'a queue of 1,000,000 deferred recipients over 10,000 domains',
    run: async context =>
      await runQueue(context, { recipients: 1_000_000, domains, bodySizeBytes: 1024, isDrainedWhole: true }),
  },
  {
    kind: 'figures',
    name: 'queue-2m',
    title: 'a queue of 2,000,000 deferred recipients over 10,000 domains',
    isOnDemand: true,
    run: async context =>
      await runQueue(context, { recipients: 2_000_000, domains, bodySizeBytes: 1024, isDrainedWhole: true }),
  },
  {
    kind: 'figures',
    name: 'queue-10m',
    title: 'a queue of 10,000,000 deferred recipients over 10,000 domains',
    isOnDemand: true,
    run: async context =>
      await runQueue(context, { recipients: 10_000_000, domains, bodySizeBytes: 512, isDrainedWhole: false }),
  },
]
