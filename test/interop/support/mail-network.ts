// Real DNS around a Postrider: Knot serves the zones of a test, Unbound resolves them, and MX hosts have one port on
// loopback addresses of their own.

import { createSocket, type Socket } from 'node:dgram'
import { freePort, type Knot, type KnotZone, startKnot, startUnbound } from '../../support/peers/index.ts'

/** Zones, the resolver in front of them, and the configuration that makes Postrider use both. */
export interface MailNetwork extends AsyncDisposable {
  /** The port of every MX host. */
  readonly mxPort: number
  /** Where Unbound answers. */
  readonly resolver: { readonly address: string; readonly port: number }
  /** May be ended before the rest. */
  readonly knot: Knot
  /** `[dns]` and `[delivery]`; keys of `[delivery]` may follow. */
  readonly toml: string
}

/** Starts Knot and Unbound. `brokenZones` are known to Unbound and served by nobody. */
export async function startMailNetwork(options: {
  readonly zones: readonly KnotZone[]
  readonly brokenZones?: readonly string[]
  /** Known to Unbound; their server takes questions and never answers. */
  readonly silentZones?: readonly string[]
  /** Signed zones for which Unbound is given a key that is not theirs: bogus. */
  readonly bogusZones?: readonly string[]
  /** Networks that MX hosts may lie in. Default: loopback. */
  readonly allowPrivate?: readonly string[]
}): Promise<MailNetwork> {
  await using owned = new AsyncDisposableStack()
  const knot = owned.use(await startKnot({ zones: options.zones, port: await freePort() }))
  const zones = options.zones.map(zone => zone.name)
  const silent = owned.adopt(await silentPort(), socket => void socket.close())
  const anchors = (options.bogusZones ?? []).map(async zone => withWrongDigest(await knot.trustAnchor(zone)))
  const unbound = owned.use(
    await startUnbound({
      zones: [...zones, ...(options.brokenZones ?? [])],
      elsewhere: { zones: options.silentZones ?? [], port: silent.address().port },
      trustAnchors: await Promise.all(anchors),
      upstream: knot,
      port: await freePort(),
    }),
  )
  const mxPort = await freePort()
  const resolver = { address: unbound.address, port: unbound.port }
  const allowPrivate = JSON.stringify(options.allowPrivate ?? ['127.0.0.0/8'])
  const toml = `[dns]\nservers = ["${unbound.address}:${unbound.port}"]\n[delivery]\nport = ${mxPort}\nallow_private = ${allowPrivate}\n`
  const done = owned.move()
  return { mxPort, resolver, knot, toml, [Symbol.asyncDispose]: () => done.disposeAsync() }
}

/** A UDP port that takes everything and says nothing. */
async function silentPort(): Promise<Socket> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject).bind(0, '127.0.0.1', resolve)
  })
  return socket
}

/** The DS record of another key. */
function withWrongDigest(record: string): string {
  return record.replace(/[0-9a-f]{8}\s*$/i, 'deadbeef')
}

/** A zone with one MX host at a loopback address. */
export function zoneWithMx(name: string, address: string): KnotZone {
  return { name, records: ['@ MX 10 mx', `mx A ${address}`] }
}
