/**
 * Haraka from npm, installed into a folder of its own, relaying to the sink through its durable outbound
 * queue (queue/smtp_forward would not queue at all). It runs on the same Node as we do.
 */
import { access, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort, isListening, Program, runOrThrow } from '../../test/support/peers/index.ts'
import type { Peer } from './peer.ts'

const harakaVersion = '3.3.4'
const relayPluginVersion = '1.0.2'
const home = join(import.meta.dirname, '../.peers/haraka')
const packageFile = join(home, 'node_modules/Haraka/package.json')

/**
 * Its plugin, in Haraka's own plugin form: every recipient's MX is the sink, and the client's name is not
 * looked up in DNS (nor is it with Postfix).
 */
const toSink = (port: number): string => `'use strict'
exports.hook_get_mx = (next, hmail, domain) => next(OK, { priority: 0, exchange: '127.0.0.1', port: ${port} })
exports.hook_lookup_rdns = (next, connection) => next(OK, 'localhost')
`

export const haraka: Peer = {
  name: 'haraka',
  title: () => 'Haraka',
  signs: [],
  isSecurable: false,
  prepare: async log => {
    const there = await installedVersion()
    if (there === harakaVersion) return undefined
    log(`npm install Haraka@${harakaVersion} into bench/.peers/haraka`)
    await mkdir(home, { recursive: true })
    const dependencies = { Haraka: harakaVersion, 'haraka-plugin-relay': relayPluginVersion }
    await writeFile(join(home, 'package.json'), JSON.stringify({ private: true, dependencies }))
    const args = ['install', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund']
    try {
      await runOrThrow('npm', args, { cwd: home, timeoutMs: 300_000 })
    } catch (error) {
      return `Haraka cannot be installed: ${String(error).slice(0, 300)}`
    }
    return undefined
  },
  start: async options => {
    const port = await freePort()
    const configuration: Record<string, string> = {
      'config/me': 'bench.test',
      'config/plugins': 'relay\nto_sink\n',
      'config/relay.ini': '[relay]\nacl=true\n',
      'config/relay_acl_allow': '127.0.0.0/8\n',
      'config/smtp.ini': `listen=127.0.0.1:${port}\n`,
      'config/log.ini': '[main]\nlevel=error\n',
      'config/outbound.ini': 'enable_tls=false\nconcurrency_max=100\n',
      'plugins/to_sink.js': toSink(options.sinkPort),
    }
    for (const folder of ['config', 'plugins', 'queue']) await mkdir(join(options.directory, folder))
    for (const [name, text] of Object.entries(configuration))
      await writeFile(join(options.directory, name), text)
    // Without this file of its own defaults it does not greet.
    const defaults = join(home, 'node_modules/Haraka/config/connection.ini')
    await copyFile(defaults, join(options.directory, 'config/connection.ini'))
    const program = new Program({
      name: 'haraka',
      command: process.execPath,
      args: [join(home, 'node_modules/Haraka/bin/haraka'), '-c', options.directory],
      cwd: home,
    })
    await program.until('a listener', () => isListening('127.0.0.1', port))
    return { smtpPort: port, login: null, pids: () => [program.pid], stop: () => program.stop() }
  },
  version: async () => `Haraka ${await installedVersion()}, outbound queue, Node ${process.version}`,
}

async function installedVersion(): Promise<string> {
  if (
    !(await access(packageFile).then(
      () => true,
      () => false,
    ))
  )
    return 'absent'
  return String(JSON.parse(await readFile(packageFile, 'utf8')).version)
}
