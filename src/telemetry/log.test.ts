// Standard output as the log uses it, in a process of its own: an end waits for what is under way, and not for ever.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { needsMachine } from '../../test/support/needs-machine.ts'

const file = JSON.stringify(new URL('./log.ts', import.meta.url).href)

/** Starts a program that has an `output`. */
function start(stdout: number | 'pipe', program: string): ChildProcess {
  const text = `
    import { standardOutput } from ${file}
    // As the server does: from here on a pipe does not block.
    process.stdout.on('error', () => {})
    const output = standardOutput()
    ${program}`
  const args = ['--input-type=module', '--eval', text]
  return spawn(process.execPath, args, { stdio: ['ignore', stdout, 'inherit'] })
}

/** The exit code, soon. */
async function codeOf(child: ChildProcess): Promise<unknown> {
  const code = once(child, 'exit').then(([first]) => first)
  try {
    return await Promise.race([code, sleep(20_000, 'still there', { ref: false })])
  } finally {
    child.kill('SIGKILL')
  }
}

/** Writes so many lines of a hundred bytes, and ends when they are out. */
const writing = (lines: number): string =>
  `for (let at = 0; at < ${lines}; at++) output.write('x'.repeat(99) + '\\n'); await output.flushed()`

test('what was written is out when the end has waited for it', async () => {
  const child = start('pipe', `${writing(500)}; process.exit(3)`)
  let sizeBytes = 0
  child.stdout?.on('data', (chunk: Buffer) => {
    sizeBytes += chunk.length
  })
  const [code] = await once(child, 'close')
  assert.deepEqual([code, sizeBytes], [3, 50_000])
})

test(
  'a log on a full disk holds up no end',
  needsMachine(existsSync('/dev/full'), 'file that is always full, /dev/full'),
  async () => {
    const full = openSync('/dev/full', 'w')
    const child = start(full, writing(1))
    closeSync(full)
    assert.equal(await codeOf(child), 0)
  },
)

test('a log whose disk was full for longer than it can keep goes on once there is room', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'postrider-log-'))
  const path = join(folder, 'log')
  const handle = openSync(path, 'w')
  const child = start(
    handle,
    `const { default: fs } = await import('node:fs')
    const write = fs.write
    const noSpace = Object.assign(new Error('no space'), { code: 'ENOSPC' })
    fs.write = (...args) => void setImmediate(() => args.at(-1)(noSpace))
    for (let at = 0; at < 12_000; at++) {
      output.write('x'.repeat(99) + '\\n')
      if (at % 100 === 0) await new Promise(resolve => setTimeout(resolve, 1))
    }
    fs.write = write
    for (let at = 0; at < 3; at++) {
      output.write('y'.repeat(99) + '\\n')
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    process.kill(process.pid, 'SIGKILL')`,
  )
  closeSync(handle)
  await once(child, 'exit')
  const { size } = statSync(path)
  rmSync(folder, { recursive: true })
  assert.ok(size > 900_000, `${size} bytes were written`)
})

test('a pipe whose reader stands still holds up no end', async () => {
  const child = start('pipe', writing(9000))
  child.stdout?.pause()
  assert.equal(await codeOf(child), 0)
})
