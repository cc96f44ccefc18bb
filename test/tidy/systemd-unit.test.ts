import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { configSections, parseDuration } from '../../src/config/index.ts'
import { readText } from './source.ts'

const unit = readText('deploy/systemd/postrider.service')

function setting(name: string): string[] {
  return [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(match => match[1] ?? '')
}

test('the unit gives the service one capability, no way to new ones, and a file system that is read-only but for its state', () => {
  assert.deepEqual(setting('CapabilityBoundingSet'), ['CAP_NET_BIND_SERVICE'])
  assert.deepEqual(setting('AmbientCapabilities'), ['CAP_NET_BIND_SERVICE'])
  assert.deepEqual(setting('NoNewPrivileges'), ['yes'])
  assert.deepEqual(setting('ProtectSystem'), ['strict'])
  assert.deepEqual(setting('StateDirectory'), ['postrider'])
})

test('server and commands find the same data folder: it is named in the configuration, and not by the unit alone', () => {
  assert.ok(setting('Environment').every(text => !text.includes('POSTRIDER_')))
  assert.match(unit, /^#\s+data_dir = "\/var\/lib\/postrider"$/m)
  assert.match(readText('docs/start/production.md'), /^data_dir = "\/var\/lib\/postrider"/m)
})

test('compiled sources are kept where the sandbox can be written', () => {
  assert.deepEqual(setting('CacheDirectory'), ['postrider'])
  assert.deepEqual(setting('Environment'), ['NODE_COMPILE_CACHE=/var/cache/postrider'])
})

test('a clean end that nobody asked systemd for does not leave the relay down', () => {
  assert.deepEqual(setting('Restart'), ['always'])
  assert.deepEqual(setting('RestartPreventExitStatus'), ['2'])
})

test('systemd waits longer than a shutdown may drain and close', () => {
  const limits = configSections.find(one => one.name === 'limits')
  const { drainMs } = limits?.keys ?? {}
  const drain = parseDuration(String(drainMs?.fallback))
  assert.ok(drain.ok)
  assert.ok(Number(setting('TimeoutStopSec')[0]) * 1000 > drain.value + 15_000)
})

test('systemd itself finds nothing wrong with the unit, where it is installed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postrider-unit-'))
  try {
    const path = join(folder, 'postrider.service')
    // The checkout need not be in /opt here.
    writeFileSync(
      path,
      unit.replaceAll(/\/opt\/postrider\/\S*\/node\b/g, process.execPath).replace(/^Documentation=.*$/m, ''),
    )
    const result = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8' })
    const isMissing = (result.error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT'
    assert.ok(isMissing || (result.status === 0 && result.stderr.trim() === ''), result.stderr)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
