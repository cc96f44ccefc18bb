// The kill campaign: the real server under SMTP load, SIGKILL at a random moment, restart on
// the same data, again and again.
//
// The ledger of acknowledged ids is held against the receiver and the event log:
//   - nothing is lost: in the end each acknowledged recipient was delivered (and came), or was refused for good;
//   - nothing is damaged: each content that came is what was sent, byte for byte;
//   - a recipient that came twice was in flight at a kill: its end-of-data mark lay in data/marks then, and its
//     outcome says that it was uncertain. A kill explains one more arrival of each recipient in flight, and no other.

import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { formatId } from '../../src/base/index.ts'
import { markDir, readMarks } from '../../src/store/marks/index.ts'
import { inlineMaxBytes } from '../../src/store/segments/index.ts'
import { makeAccount, type ShownEvent, waitForEvents } from '../scenario/support/house.ts'
import { freePort, Postrider } from '../support/postrider.ts'
import type { Random } from '../support/random.ts'
import { Ledger, runLoad, type Sent } from './load.ts'
import { CrashReceiver } from './receiver.ts'
import { isSettled } from './serve-image.ts'

export interface KillOptions {
  readonly rounds: number
  readonly sessions: number
  readonly bodyBytesMax: number
  /** The kill comes at most so long after the first acknowledged message of a round. */
  readonly lifeMsMax: number
  /** So many of the rounds begin with a start that is killed before the load comes. Default a quarter. */
  readonly startKillShare?: number
  /** Asked after each round: true makes it the last. */
  readonly isOver?: () => boolean
  /** Told after each round. */
  readonly onProgress?: (round: number, acknowledged: number) => void
}

/** What a campaign has shown. */
export interface KillResult {
  readonly rounds: number
  /** Kills that came while a server was starting: before it was ready. */
  readonly killedStarting: number
  readonly acknowledged: number
  /** Of these: contents too large for the database, in segments. */
  readonly large: number
  /** Such contents that had begun to leave and were not acknowledged at a kill. */
  readonly largeInFlight: number
  readonly recipients: number
  readonly delivered: number
  readonly bounced: number
  /** Deferrals that lie in the log: attempts that were made again later. */
  readonly deferred: number
  /** Recipients whose end of data had left at a kill, over all kills. */
  readonly inFlight: number
  /** Arrivals beyond the first one of each recipient. */
  readonly duplicates: number
  readonly violations: readonly string[]
}

const account = 'acme'
const domain = 'acme.example'
/** Every so many rounds everything is delivered and checked, so that a loss is told soon. */
const checkEveryRounds = 25

/** Runs it. */
export async function runKills(options: KillOptions, random: Random): Promise<KillResult> {
  const folder = mkdtempSync(join(tmpdir(), 'postrider-kills-'))
  try {
    return await new KillCampaign(folder, options, random).run()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

class KillCampaign {
  readonly #folder: string
  readonly #options: KillOptions
  readonly #random: Random
  readonly #ledger: Ledger = new Ledger()
  /** `<id>.<number>` → how many kills found its end of data sent and its outcome not committed. */
  readonly #inFlight: Map<string, number> = new Map()
  /** Files of marks that were looked at, as they were then. */
  readonly #seenMarks: Set<string> = new Set()
  #port = 0
  #route = ''
  #killedStarting = 0
  /** How long the last start took that was left alone. */
  #startMs = 1000

  constructor(folder: string, options: KillOptions, random: Random) {
    this.#folder = folder
    this.#options = options
    this.#random = random
  }

  async run(): Promise<KillResult> {
    await using receiver = await CrashReceiver.start(this.#ledger)
    this.#route = receiver.route
    const { rounds } = this.#options
    let result: KillResult | null = null
    for (let round = 1; round <= rounds; round++) {
      await this.#round(round)
      const isLast = round === rounds || this.#options.isOver?.() === true
      if (round % checkEveryRounds === 0 || isLast) {
        result = await this.#check(receiver, round)
        if (isLast || result.violations.length > 0) return result
      }
      this.#options.onProgress?.(round, this.#ledger.acknowledged.size)
    }
    if (result === null) throw new Error('a campaign needs a round')
    return result
  }

  async #start(): Promise<Postrider> {
    const startedMs = performance.now()
    const server = await this.#launch()
    await server.ready()
    this.#startMs = performance.now() - startedMs
    return server
  }

  async #launch(): Promise<Postrider> {
    // Another port each time: between two rounds somebody else may get the old one.
    this.#port = await freePort()
    const door = `[[listener]]\naddress = "127.0.0.1:${this.#port}"\nkind = "relay"\n`
    const rest = `networks = ["127.0.0.0/8"]\naccount = "${account}"\n[retry]\nschedule = ["1s"]\n[log]\nlevel = "warn"\n`
    return await Postrider.launch({ toml: this.#route + door + rest, folder: this.#folder })
  }

  async #round(round: number): Promise<void> {
    const { sessions, bodyBytesMax, lifeMsMax, startKillShare = 0.25 } = this.#options
    if (round > 1 && this.#random.next() < startKillShare) await this.#killStarting()
    const server = await this.#start()
    if (round === 1) await makeAccount(server, account, domain)
    const before = this.#ledger.acknowledged.size
    const load = runLoad(
      { port: this.#port, from: `ann@${domain}`, sessions, messagesMax: 5000, bodyBytesMax },
      this.#ledger,
      this.#random,
    )
    // A tenth of the kills come before any message was accepted: into the aftermath of the recovery.
    if (this.#random.next() > 0.1) while (this.#ledger.acknowledged.size === before) await sleep(2)
    await sleep(this.#random.below(lifeMsMax))
    await server.kill()
    await load
    this.#noteInFlight(server.dataDir)
  }

  /** A kill at any moment of a start: opening, migration, recovery, binding. The rest of the round is a further start. */
  async #killStarting(): Promise<void> {
    const server = await this.#launch()
    await sleep(this.#random.below(Math.ceil(this.#startMs)))
    if (!(await isReady(server))) this.#killedStarting++
    await server.kill()
    this.#noteInFlight(server.dataDir)
  }

  /** A start that was killed before its recovery has left the marks of an earlier kill: they have been counted. */
  #noteInFlight(dataDir: string): void {
    const files = markFilesIn(markDir(dataDir))
    const isOfThisLife = files.some(file => !this.#seenMarks.has(file))
    for (const file of files) this.#seenMarks.add(file)
    if (!isOfThisLife) return
    for (const { messageId, recipientNumbers } of readMarks(markDir(dataDir)))
      for (const number of recipientNumbers) {
        const key = `${formatId('msg', messageId)}.${number}`
        this.#inFlight.set(key, (this.#inFlight.get(key) ?? 0) + 1)
      }
  }

  /** Lets everything come to its end, and judges. */
  async #check(receiver: CrashReceiver, rounds: number): Promise<KillResult> {
    const server = await this.#start()
    try {
      const events = await waitForEvents(server, isSettled, 120_000)
      const left = await server.json<never[]>('queue', 'list')
      const { wrong, counts } = judge(this.#ledger.acknowledged, receiver, events, this.#inFlight)
      if (left.length > 0) wrong.push(`${left.length} recipients are still queued without an open event`)
      const inFlight = [...this.#inFlight.values()].reduce((sum, times) => sum + times, 0)
      const acknowledged = this.#ledger.acknowledged.size
      const killedStarting = this.#killedStarting
      const large = [...this.#ledger.acknowledged.values()].filter(isLarge).length
      const largeInFlight = [...this.#ledger.sent.values()].filter(isLarge).length - large
      const figures = { rounds, killedStarting, acknowledged, large, largeInFlight, inFlight }
      return { ...figures, ...counts, violations: wrong }
    } finally {
      await server.stop()
    }
  }
}

const isLarge = ({ bodyBytes }: Sent): boolean => bodyBytes > inlineMaxBytes

/** Name, inode and time of the last write of each file: recovery deletes those that it found, so a later one differs. */
function markFilesIn(dir: string): string[] {
  return readdirSync(dir).map(name => {
    const { ino, mtimeNs } = statSync(join(dir, name), { bigint: true })
    return `${name} ${ino} ${mtimeNs}`
  })
}

async function isReady(server: Postrider): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${server.httpPort}/readyz`)).status === 200
  } catch {
    return false
  }
}

type Counts = Pick<KillResult, 'recipients' | 'delivered' | 'bounced' | 'deferred' | 'duplicates'>

/** Holds ledger, receiver, event log and marks against each other. */
export function judge(
  acknowledged: ReadonlyMap<string, Sent>,
  receiver: Pick<CrashReceiver, 'arrivals' | 'damaged'>,
  events: readonly ShownEvent[],
  inFlight: ReadonlyMap<string, number>,
): { wrong: string[]; counts: Counts } {
  const wrong = [...receiver.damaged]
  const ends = new Map<string, ShownEvent[]>()
  const uncertain = new Set<string>()
  const paths = new Map<string, readonly string[]>()
  let deferred = 0
  for (const event of events) {
    if (event.type === 'accepted')
      paths.set(event.messageId!, (event as unknown as { forwardPaths: string[] }).forwardPaths)
    if (event.type === 'deferred') deferred++
    if (event.outcome?.isUncertain === true) uncertain.add(event.recipientId!)
    if (!['delivered', 'bounced', 'expired'].includes(event.type)) continue
    ends.set(event.recipientId!, [...(ends.get(event.recipientId!) ?? []), event])
  }
  const arrived = new Map<string, number>()
  for (const { id, to } of receiver.arrivals)
    for (const path of to) {
      const key = `${id}.${paths.get(id)?.indexOf(path)}`
      arrived.set(key, (arrived.get(key) ?? 0) + 1)
    }
  const counts = { recipients: 0, delivered: 0, bounced: 0, deferred, duplicates: 0 }
  for (const [id, { to }] of acknowledged)
    for (const [number, path] of to.entries()) {
      counts.recipients++
      const key = `${id}.${number}`
      const end = ends.get(key)?.[0]
      const wanted = path.startsWith('gone') ? 'bounced' : 'delivered'
      if (end === undefined) wrong.push(`${key} was acknowledged and is lost`)
      else if (end.type !== wanted) wrong.push(`${key} to ${path} is ${end.type}`)
      if (wanted === 'delivered' && !arrived.has(key)) wrong.push(`${key} never reached the receiver`)
      counts[wanted]++
    }
  // Also of what was taken and never acknowledged.
  for (const [key, { length }] of ends) if (length > 1) wrong.push(`${key} has ${length} ends in the log`)
  for (const [key, times] of arrived) {
    counts.duplicates += times - 1
    if (times > 1 + (inFlight.get(key) ?? 0))
      wrong.push(`${key} came ${times} times, in flight at ${inFlight.get(key) ?? 0} kills`)
    if (times > 1 && !uncertain.has(key)) wrong.push(`${key} came ${times} times and is not marked uncertain`)
  }
  return { wrong, counts }
}
