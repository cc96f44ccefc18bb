// The lab, put together: DNS, receiving hosts on one port, an inbox, behaviours that can be changed.
//
// How it starts:
//   1. bind the first host, on the wanted port or any; 2. bind all others on the same port, or try another port;
//   3. where 127.77.x.x cannot be bound (macOS has only 127.0.0.1), one host on 127.0.0.1 stands for all;
//   4. start the DNS server with the hosts' addresses.
// Invariant: everything is on loopback.

import { systemClock } from '../base/index.ts'
import { startTicker } from '../protocol/smtp/index.ts'
import { Attempts } from './attempts.ts'
import { type LabBehaviour, ordinaryBehaviour } from './behaviour.ts'
import { LabCertificates } from './certificates.ts'
import { type LabClock, systemLabClock } from './clock.ts'
import { type LabDns, type LabZone, startLabDns } from './dns/index.ts'
import { type HostParts, LabHost } from './host.ts'
import {
  addressOf,
  type LabHostSpec,
  labDomains,
  labHosts,
  labHostZone,
  labRecords,
  labTtlSeconds,
} from './hosts.ts'
import { defaultInboxLimits, Inbox, type InboxLimits } from './inbox.ts'
import { InboxFiles } from './inbox-files.ts'
import type { LabCounters } from './receiver.ts'

/** How a lab is started. */
export interface LabOptions {
  /** Address of the DNS server. Default 127.0.0.1. */
  readonly dnsAddress?: string
  /** 0 (default): any free one. */
  readonly dnsPort?: number
  /** One port for all hosts; 0 (default): any that is free on all their addresses. */
  readonly mxPort?: number
  /** `one`: a single host on 127.0.0.1, as where no other address can be bound. Default `all`. */
  readonly hosts?: 'all' | 'one'
  /** Zones beside `test`. */
  readonly zones?: readonly LabZone[]
  /** Default: the machine's clock. */
  readonly clock?: LabClock
  /** Also keeps the inbox in this folder, and begins with what is there. */
  readonly directory?: string | null
  readonly inboxLimits?: InboxLimits
}

/** A running lab. */
export interface Lab extends AsyncDisposable {
  readonly dns: LabDns
  readonly dnsPort: number
  readonly mxPort: number
  /** Where the hosts are: `127.77.0.0/16`, or `127.0.0.1/32` where only that can be bound. */
  readonly network: string
  readonly inbox: Inbox
  /** PEM of the authority that signed the certificates of the good hosts. */
  readonly authorityPem: string
  /** True for addresses that hosts of this lab have or may get. */
  isLabAddress(address: string): boolean
  /**
   * Changes how hosts behave, on top of what they are by themselves; null undoes it. `target` is a host (`mx1.lab.test`),
   * an address, `*` for every host, or a domain: its own host, which it gets if it has none. Resolves when in force;
   * for a domain that was known without a host, resolvers may remember the old MX for some seconds. Throws for a target
   * outside of `.test`.
   */
  setBehaviour(target: string, behaviour: Partial<LabBehaviour> | null): Promise<void>
  /** By host name: what each has seen so far. */
  counters(): ReadonlyMap<string, Readonly<LabCounters>>
  /** Closes everything; open connections are cut. */
  close(): Promise<void>
}

const bindAttempts = 20
const firstOctets = '127.77.'

/** True for the addresses that hosts of a lab have on systems that know all of 127.0.0.0/8. */
export function isLabAddress(address: string): boolean {
  return address.startsWith(firstOctets)
}

/** Starts a lab; rejects with the system's error when a wanted port is taken or the folder cannot be made. */
export async function startLab(options: LabOptions = {}): Promise<Lab> {
  const clock = options.clock ?? systemLabClock
  // By the machine's clock: clients judge certificates by theirs, whatever the lab's clock says.
  const certificates = new LabCertificates(systemClock.nowMs())
  const files = typeof options.directory === 'string' ? new InboxFiles(options.directory) : null
  const inbox = new Inbox(options.inboxLimits ?? defaultInboxLimits, files)
  const ticker = startTicker()
  const parts: HostParts = { clock, ticker, certificates, inbox, attempts: new Attempts() }
  const bind = options.hosts === 'one' ? bindOne : bindHosts
  const bound = await bind(options.mxPort ?? 0, parts).catch((error: unknown) => {
    ticker[Symbol.dispose]()
    throw error
  })
  try {
    const addresses = (spec: LabHostSpec): string => (bound.isWhole ? addressOf(spec) : '127.0.0.1')
    const dns = await startLabDns({
      address: options.dnsAddress ?? '127.0.0.1',
      port: options.dnsPort ?? 0,
      zones: [
        { name: 'test', records: labRecords(addresses), negativeTtlSeconds: labTtlSeconds },
        ...(options.zones ?? []),
      ],
      faults: labDomains.flatMap(({ faults = [] }) => faults),
    })
    return new RunningLab(dns, bound, parts, () => ticker[Symbol.dispose]())
  } catch (error) {
    await Promise.all(bound.hosts.map(host => host.close()))
    ticker[Symbol.dispose]()
    throw error
  }
}

interface BoundHosts {
  readonly hosts: LabHost[]
  readonly port: number
  /** All addresses could be had. */
  readonly isWhole: boolean
}

async function bindHosts(wantedPort: number, parts: HostParts): Promise<BoundHosts> {
  for (let attempt = 1; ; attempt++) {
    const hosts = labHosts.map(
      spec =>
        new LabHost(
          {
            name: `${spec.label}.${labHostZone}`,
            address: addressOf(spec),
            behaviour: { ...ordinaryBehaviour, ...spec.behaviour },
          },
          parts,
        ),
    )
    try {
      let port = wantedPort
      for (const host of hosts) port = await host.listen(port)
      return { hosts, port, isWhole: true }
    } catch (error) {
      await Promise.all(hosts.map(host => host.close()))
      const { code } = error as { code?: unknown }
      if (code === 'EADDRNOTAVAIL') return await bindOne(wantedPort, parts)
      if (code !== 'EADDRINUSE' || wantedPort !== 0 || attempt >= bindAttempts) throw error
    }
  }
}

async function bindOne(wantedPort: number, parts: HostParts): Promise<BoundHosts> {
  const name = `${labHosts[0]!.label}.${labHostZone}`
  const host = new LabHost({ name, address: '127.0.0.1', behaviour: ordinaryBehaviour }, parts)
  return { hosts: [host], port: await host.listen(wantedPort), isWhole: false }
}

class RunningLab implements Lab {
  readonly dns: LabDns
  readonly dnsPort: number
  readonly mxPort: number
  readonly network: string
  readonly inbox: Inbox
  readonly authorityPem: string
  readonly #parts: HostParts
  readonly #isWhole: boolean
  readonly #hosts: LabHost[]
  /** Domain → its own host. */
  readonly #hostOfDomain = new Map<string, LabHost>()
  readonly #stopTicker: () => void
  #closing: Promise<void> | undefined
  #given = 0

  constructor(dns: LabDns, bound: BoundHosts, parts: HostParts, stopTicker: () => void) {
    this.dns = dns
    this.dnsPort = dns.port
    this.mxPort = bound.port
    this.network = bound.isWhole ? '127.77.0.0/16' : '127.0.0.1/32'
    this.inbox = parts.inbox
    this.authorityPem = parts.certificates.authorityPem
    this.#parts = parts
    this.#isWhole = bound.isWhole
    this.#hosts = bound.hosts
    this.#stopTicker = stopTicker
    for (const { label, domain } of labHosts) {
      const host = this.#hosts.find(one => one.name === `${label}.${labHostZone}`)
      if (domain !== undefined && host !== undefined) this.#hostOfDomain.set(domain, host)
    }
  }

  isLabAddress(address: string): boolean {
    return this.#isWhole ? isLabAddress(address) : address === '127.0.0.1'
  }

  async setBehaviour(target: string, behaviour: Partial<LabBehaviour> | null): Promise<void> {
    const name = target.toLowerCase()
    const meant = this.#hosts.filter(one => name === '*' || one.name === name || one.address === name)
    const hosts = meant.length > 0 ? meant : [await this.#hostFor(name)]
    for (const host of hosts) await host.setBehaviour(behaviour)
  }

  async #hostFor(domain: string): Promise<LabHost> {
    const known = this.#hostOfDomain.get(domain)
    if (known !== undefined) return known
    if (!domain.endsWith('.test') || domain.endsWith(`.${labHostZone}`))
      throw new Error(`the lab has no host, address or domain "${domain}"; domains end in .test`)
    if (!this.#isWhole)
      throw new Error(`this system lets the lab have one host only: ${this.#hosts[0]?.name}`)
    const number = ++this.#given
    const at = [2 + Math.floor(number / 250), 1 + (number % 250)] as const
    const name = `own-${number}.${labHostZone}`
    const host = new LabHost({ name, address: addressOf({ at }), behaviour: ordinaryBehaviour }, this.#parts)
    await host.listen(this.mxPort)
    this.#hosts.push(host)
    this.#hostOfDomain.set(domain, host)
    this.dns.setRecords(name, 'A', [host.address], labTtlSeconds)
    this.dns.setRecords(domain, 'MX', [{ preference: 10, exchange: name }], labTtlSeconds)
    return host
  }

  counters(): ReadonlyMap<string, Readonly<LabCounters>> {
    return new Map(this.#hosts.map(host => [host.name, host.counters]))
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await Promise.all([this.dns.close(), ...this.#hosts.map(host => host.close())])
    this.#stopTicker()
    await this.inbox.settled()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
