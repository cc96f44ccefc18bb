// What a relay thread loads: each library in it costs memory once for each thread.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'

const probe = `
import { registerHooks } from 'node:module'
const loaded = new Set()
registerHooks({ load(url, context, next) {
  const library = /node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url)
  if (library !== null) loaded.add(library[1])
  return next(url, context)
} })
await import(process.argv[1])
process.stdout.write(JSON.stringify([...loaded]))
`

test('a relay thread loads neither the schema of the configuration nor the library that prints metrics', async () => {
  const entry = new URL('./relay-thread.ts', import.meta.url).href
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--input-type=module',
    '--eval',
    probe,
    entry,
  ])
  const loaded = JSON.parse(stdout) as string[]
  assert.ok(loaded.includes('pino'), 'the probe sees libraries')
  const heavy = loaded.filter(name => /^(zod|smol-toml|prom-client|@opentelemetry\/api)$/.test(name))
  assert.deepEqual(heavy, [])
})
