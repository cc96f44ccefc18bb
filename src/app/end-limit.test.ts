import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'

const folder = JSON.stringify(new URL('./', import.meta.url).href)

/** Runs a program that has bounded its end; gives its exit code and what it wrote. */
function run(limitMs: number, program: string): Promise<{ code: number; output: string }> {
  const text = `
    import { limitEnd } from ${folder.slice(0, -1)}end-limit.ts"
    const lines = []
    const log = { event: (name, fields) => void lines.push(name + ' ' + JSON.stringify(fields)) }
    const limit = limitEnd(1, ${limitMs}, log, { flushed: async () => console.log(lines.join(' ')) })
    ${program}`
  return new Promise(resolve => {
    execFile(process.execPath, ['--input-type=module', '--eval', text], (error, output) =>
      resolve({ code: error === null ? 0 : Number(error.code), output: output.trim() }),
    )
  })
}

test('who has not ended when the time is over ends with the code, and the log says so', async () => {
  const { code, output } = await run(100, 'setInterval(() => {}, 1000)')
  assert.equal(code, 1)
  assert.equal(output, 'server.cut-off {"code":1,"afterMs":100}')
})

test('who waits for what never comes ends as well', async () => {
  const wait = "import { Worker } from 'node:worker_threads'; new Worker('for (;;);', { eval: true });"
  const { code } = await run(100, `${wait} await new Promise(() => {})`)
  assert.equal(code, 1)
})

test('who ends in time is not held up, and the bound can be lifted', async () => {
  assert.deepEqual(await run(600_000, ''), { code: 0, output: '' })
  const lifted = 'limit[Symbol.dispose](); setTimeout(() => {}, 500)'
  assert.deepEqual(await run(50, lifted), { code: 0, output: '' })
})
