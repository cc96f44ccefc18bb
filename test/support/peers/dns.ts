/**
 * Real DNS for tests: Knot as the authoritative server for made-up zones, and Unbound as the caching,
 * validating resolver in front of it. Both in the foreground, from a folder of their own, on loopback only:
 * Unbound refuses every name outside the zones it was given, so no query leaves the machine.
 */
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isListening, Program, runOrThrow } from './process.ts'
import { Scratch } from './scratch.ts'

export interface KnotZone {
  /** Without the final dot: `example.test`. */
  readonly name: string
  /** Zone file lines besides SOA and NS, which are added: `@ MX 10 mx`, `mx A 127.0.0.1`. */
  readonly records: readonly string[]
  /** Sign the zone with keys made at start. Default false. */
  readonly isSigned?: boolean
  /** Time to live of all records in seconds. Default 60. */
  readonly ttlSeconds?: number
}

export interface Knot extends AsyncDisposable {
  readonly address: string
  readonly port: number
  /** The DS record of a signed zone in zone-file form: Unbound's trust anchor. */
  trustAnchor(zone: string): Promise<string>
  output(): string
}

/** Start knotd with these zones. */
export async function startKnot(options: {
  readonly zones: readonly KnotZone[]
  readonly port: number
  readonly address?: string
}): Promise<Knot> {
  const address = options.address ?? '127.0.0.1'
  await using owned = new AsyncDisposableStack()
  const { path } = owned.use(await Scratch.create('knot'))
  await mkdir(join(path, 'zones'))
  await mkdir(join(path, 'db'))
  for (const zone of options.zones) await writeFile(join(path, 'zones', `${zone.name}.zone`), zoneFile(zone))
  const configuration = join(path, 'knot.conf')
  await writeFile(configuration, knotConfiguration(path, `${address}@${options.port}`, options.zones))
  await chmod(path, 0o700)
  const program = owned.use(
    new Program({ name: 'knot', command: '/usr/sbin/knotd', args: ['-c', configuration] }),
  )
  await program.until('a listener', () => isListening(address, options.port))
  const control = (...args: string[]) =>
    runOrThrow('/usr/sbin/knotc', ['-s', join(path, 'knot.sock'), ...args])
  await program.until('all zones loaded', async () => {
    for (const zone of options.zones) {
      const wanted = zone.isSigned === true ? 'DNSKEY' : 'SOA'
      const said = await control('zone-read', zone.name, `${zone.name}.`, wanted).catch(() => '')
      if (!said.includes(wanted)) return false
    }
    return true
  })
  const done = owned.move()
  return {
    address,
    port: options.port,
    trustAnchor: async zone => {
      const records = await runOrThrow('keymgr', ['-c', configuration, zone, 'ds'])
      const sha256 = records.split('\n').find(line => / DS \d+ \d+ 2 /.test(line))
      if (sha256 === undefined)
        throw new Error(`knot has no DS record for ${zone}: is it signed?\n${records}`)
      return sha256
    },
    output: () => program.output,
    [Symbol.asyncDispose]: () => done.disposeAsync(),
  }
}

function zoneFile(zone: KnotZone): string {
  return [
    `$ORIGIN ${zone.name}.`,
    `$TTL ${zone.ttlSeconds ?? 60}`,
    '@ SOA ns hostmaster 1 3600 600 86400 60',
    '@ NS ns',
    'ns A 127.0.0.1',
    ...zone.records,
    '',
  ].join('\n')
}

function knotConfiguration(path: string, listen: string, zones: readonly KnotZone[]): string {
  const sections = [
    `server:\n    rundir: ${path}\n    listen: ${listen}\n    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1`,
    `control:\n    listen: ${path}/knot.sock`,
    `log:\n  - target: stderr\n    any: info`,
    `database:\n    storage: ${path}/db`,
    `policy:\n  - id: signed\n    algorithm: ecdsap256sha256`,
    `template:\n  - id: default\n    storage: ${path}/zones\n    file: %s.zone\n    zonefile-sync: -1\n    journal-content: none`,
    `zone:\n${zones
      .map(
        zone =>
          `  - domain: ${zone.name}${zone.isSigned === true ? '\n    dnssec-signing: on\n    dnssec-policy: signed' : ''}`,
      )
      .join('\n')}`,
  ]
  return `${sections.join('\n')}\n`
}

export interface Unbound extends AsyncDisposable {
  readonly address: string
  readonly port: number
  output(): string
}

/**
 * Start unbound for `zones`, which it asks at `upstream`. With trust anchors it validates and sets AD; the
 * zones without an anchor are then insecure, not bogus.
 */
export async function startUnbound(options: {
  readonly zones: readonly string[]
  readonly upstream: { readonly address: string; readonly port: number }
  readonly port: number
  readonly address?: string
  readonly trustAnchors?: readonly string[]
  /** Zones that are asked at another port of the same address. */
  readonly elsewhere?: { readonly zones: readonly string[]; readonly port: number }
}): Promise<Unbound> {
  const address = options.address ?? '127.0.0.1'
  await using owned = new AsyncDisposableStack()
  const { path } = owned.use(await Scratch.create('unbound'))
  const anchors = options.trustAnchors ?? []
  const stub = (zone: string, port: number): string =>
    `stub-zone:\n  name: "${zone}."\n  stub-addr: ${options.upstream.address}@${port}\n`
  const elsewhere = options.elsewhere ?? { zones: [], port: 0 }
  const stubs = [
    ...options.zones.map(zone => stub(zone, options.upstream.port)),
    ...elsewhere.zones.map(zone => stub(zone, elsewhere.port)),
  ]
  const zones = [...options.zones, ...elsewhere.zones]
  const server = [
    `interface: ${address}@${options.port}`,
    'access-control: 127.0.0.0/8 allow',
    'access-control: ::1 allow',
    'do-daemonize: no',
    'use-syslog: no',
    'logfile: ""',
    'chroot: ""',
    'username: ""',
    `directory: "${path}"`,
    'pidfile: ""',
    'num-threads: 1',
    'do-not-query-localhost: no',
    'qname-minimisation: no',
    'edns-buffer-size: 1232',
    `module-config: "${anchors.length > 0 ? 'validator ' : ''}iterator"`,
    // Whatever is not one of the zones is refused here, so that no query can leave the machine.
    'local-zone: "." always_refuse',
    ...zones.map(zone => `local-zone: "${zone}." transparent`),
    ...anchors.map(anchor => `trust-anchor: "${anchor}"`),
  ]
  const configuration = join(path, 'unbound.conf')
  await writeFile(
    configuration,
    `server:\n  ${server.join('\n  ')}\nremote-control:\n  control-enable: no\n${stubs.join('')}`,
  )
  const program = owned.use(
    new Program({ name: 'unbound', command: '/usr/sbin/unbound', args: ['-d', '-c', configuration] }),
  )
  await program.until('a listener', () => isListening(address, options.port))
  const done = owned.move()
  return {
    address,
    port: options.port,
    output: () => program.output,
    [Symbol.asyncDispose]: () => done.disposeAsync(),
  }
}
