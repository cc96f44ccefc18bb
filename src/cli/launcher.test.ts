// Tests of bin/postrider.js: what runs before anything of ours can be relied on.

import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { needsMachine } from '../../test/support/needs-machine.ts'

const root = join(import.meta.dirname, '..', '..')

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function launch(path: string, argv: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const env = { ...process.env, NODE_COMPILE_CACHE: undefined, ...more }
  return new Promise(resolve => {
    execFile(process.execPath, [path, ...argv], { cwd: tmpdir(), env }, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr })
    })
  })
}

/** A copy of bin/ and package.json in a folder where nothing has been installed. */
function bareCopy(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'postrider-bin-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  cpSync(join(root, 'bin'), join(folder, 'bin'), { recursive: true })
  cpSync(join(root, 'package.json'), join(folder, 'package.json'))
  mkdirSync(join(folder, 'src'))
  return folder
}

test('the launcher hands arguments, output and exit code through', async () => {
  const launcher = join(root, 'bin', 'postrider.js')
  const version = await launch(launcher, ['--version'])
  assert.deepEqual([version.code, version.stderr], [0, ''])
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/)
  const usage = await launch(launcher, ['queue', 'hold', '--json'])
  assert.equal(usage.code, 2)
  assert.match(usage.stderr, /"code":"usage"/)
})

test('before npm ci, and in a broken installation, one sentence says what to do', async t => {
  const folder = bareCopy(t)
  const launcher = join(folder, 'bin', 'postrider.js')
  const broken = await launch(launcher, [])
  assert.deepEqual([broken.code, broken.stdout], [1, ''])
  assert.match(broken.stderr, /^postrider: this installation is not complete: .*\n$/)
  writeFileSync(join(folder, 'src', 'main.ts'), '')
  const empty = await launch(launcher, [])
  assert.equal(empty.code, 1)
  assert.match(empty.stderr, /^postrider: the packages are not installed: run "npm ci" .*\n$/)
  rmSync(join(folder, 'package.json'))
  const bare = await launch(launcher, [])
  assert.match(bare.stderr, /^postrider: this installation is not complete: .*\n$/)
})

test('from the first file on compiled sources are kept, where the operator says or in a folder of ours', async t => {
  const folder = bareCopy(t)
  mkdirSync(join(folder, 'node_modules'))
  writeFileSync(join(folder, 'src', 'main.ts'), 'process.stdout.write(process.env.NODE_COMPILE_CACHE)')
  const launcher = join(folder, 'bin', 'postrider.js')
  assert.equal((await launch(launcher, [])).stdout, join(folder, 'node_modules', '.cache', 'postrider'))
  const kept = join(folder, 'kept')
  assert.equal((await launch(launcher, [], { NODE_COMPILE_CACHE: kept })).stdout, kept)
})

const canBeProcess1 = spawnSync('unshare', ['--pid', '--fork', 'true']).status === 0

test(
  'a server that was killed ends the launcher with a code that says so, also as process 1 of a container',
  needsMachine(canBeProcess1, 'process namespaces for us'),
  async t => {
    const folder = bareCopy(t)
    mkdirSync(join(folder, 'node_modules'))
    writeFileSync(join(folder, 'src', 'main.ts'), "process.kill(process.pid, 'SIGKILL')")
    const args = ['--pid', '--fork', process.execPath, join(folder, 'bin', 'postrider.js')]
    const code = await new Promise(resolve => {
      execFile('unshare', args, error => resolve(error?.code ?? 0))
    })
    assert.equal(code, 137)
  },
)

test('on an old Node one sentence says what to do', async t => {
  const folder = bareCopy(t)
  writeFileSync(join(folder, 'src', 'main.ts'), '')
  // The version is asked of `process.versions`: a preloaded file makes it an old one.
  const preload = join(folder, 'old.cjs')
  writeFileSync(preload, "Object.defineProperty(process, 'versions', { value: { node: '20.20.2' } })\n")
  const old = await new Promise<Ran>(resolve => {
    execFile(
      process.execPath,
      ['-r', preload, join(folder, 'bin', 'postrider.js')],
      (error, stdout, stderr) => {
        resolve({ code: Number(error?.code ?? 0), stdout, stderr })
      },
    )
  })
  assert.equal(old.code, 1)
  assert.match(
    old.stderr,
    /^postrider: Node 20\.20\.2 is too old: install Node 26\.1 or newer, .*npm ci.*\n$/,
  )
})

test('which Node is too old says package.json alone', async t => {
  const folder = bareCopy(t)
  writeFileSync(join(folder, 'src', 'main.ts'), '')
  writeFileSync(join(folder, 'package.json'), '{"type":"module","engines":{"node":">=99.2"}}')
  const { code, stderr } = await launch(join(folder, 'bin', 'postrider.js'), [])
  assert.equal(code, 1)
  assert.match(stderr, /is too old: install Node 99\.2 or newer, /)
  for (const path of ['src/cli/doctor/examine.ts', 'bin/postrider.js'])
    assert.doesNotMatch(readFileSync(join(root, path), 'utf8'), /\b26\b/, path)
})

test('the launcher is written so that Node 12 can read it', () => {
  const text = readFileSync(join(root, 'bin', 'postrider.js'), 'utf8').replace(/\/\/.*$/gm, '')
  assert.doesNotMatch(
    text,
    /=>|`|\?\?|\?\.|\b(?:const|let|class|async|await|import|export)\b|\.\.\.|['"]node:/,
  )
})
