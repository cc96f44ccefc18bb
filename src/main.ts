// The `postrider` command: the first file that runs.
//
// Only the thread pool's size is settled here, since it counts only before anything uses the pool; what was asked for is
// loaded after that, and only that. The process ends by itself when nothing is left to do, with the code set here.

import { availableParallelism } from 'node:os'
import type { Application } from './cli/index.ts'

// Signatures and password hashes must not wait for each other (DESIGN section 4).
const { env } = process
const { UV_THREADPOOL_SIZE: poolSize = String(Math.max(4, availableParallelism() + 2)) } = env
Object.assign(env, { UV_THREADPOOL_SIZE: poolSize })

/** With SQLite there is one node. */
const node = 1

const application: Application = {
  serve: async options => (await import('./app/serve.ts')).serve(options),
  backup: async options => (await import('./store/index.ts')).backup(options),
  restore: async options => (await import('./store/index.ts')).restore({ ...options, node }),
  openBackup: async source => (await import('./store/index.ts')).RestorePreview.open(source),
}

const { processIo, runCli } = await import('./cli/index.ts')
process.exitCode = await runCli(process.argv.slice(2), processIo(process), application)
