// The `postrider` command: the first file that runs.
//
// Only what counts before anything is loaded is settled here: SIGHUP, the thread pool's size, and where compiled sources
// are kept.
// What was asked for is loaded after that, and only that. The process ends by itself when nothing is left to do, with the
// code set here.

import { enableCompileCache } from 'node:module'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { takeHangups } from './app/hangups.ts'
import type { Application } from './cli/index.ts'

const argv = process.argv.slice(2)
const command = argv.find((word, at) => !word.startsWith('-') && argv[at - 1] !== '--config')
// First of all, since by default SIGHUP ends the process. Other commands end with their terminal.
const hangups = command === 'serve' ? takeHangups() : null

// Signatures and password hashes must not wait for each other.
const { env } = process
const { UV_THREADPOOL_SIZE: poolSize = String(Math.max(4, availableParallelism() + 2)) } = env
Object.assign(env, { UV_THREADPOOL_SIZE: poolSize })
// Run from the sources, each thread would strip the types of a hundred files for itself: 10 MB a thread, and a slower
// start. The folder is ours alone; one in /tmp could be somebody else's.
if (import.meta.filename.endsWith('.ts')) {
  const { NODE_COMPILE_CACHE: folder = join(import.meta.dirname, '../node_modules/.cache/postrider') } = env
  Object.assign(env, { NODE_COMPILE_CACHE: folder })
  enableCompileCache(folder)
}

/** With SQLite there is one node. */
const node = 1

/** Files made from here on are for their owner only: they hold waiting mail and keys, and SQLite knows only this way. */
function keepPrivate(): void {
  process.umask(0o077)
}

const application: Application = {
  serve: async options => {
    keepPrivate()
    return (await import('./app/serve.ts')).serve({ ...options, hangups: hangups ?? takeHangups() })
  },
  backup: async options => {
    keepPrivate()
    return (await import('./store/index.ts')).backup(options)
  },
  restore: async options => {
    keepPrivate()
    return (await import('./store/index.ts')).restore({ ...options, node })
  },
  openBackup: async source => (await import('./store/index.ts')).RestorePreview.open(source),
}

const { processIo, runCli } = await import('./cli/index.ts')
process.exitCode = await runCli(argv, processIo(process), application)
