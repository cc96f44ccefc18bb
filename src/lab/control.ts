// The lab's commands for the control socket: a map from name to handler, which the server mounts as it is.
//
// Handlers check their arguments themselves and throw errors whose messages are for people. Nothing here can reach
// anything but the lab.

import { headerText } from './header-text.ts'
import { labHosts, labHostZone } from './hosts.ts'
import type { InboxEntry } from './inbox.ts'
import type { Lab } from './lab.ts'
import { labPresets } from './presets.ts'

/** A command: what it resolves with is shown as JSON. */
export type LabCommand = (given: Readonly<Record<string, unknown>>) => Promise<unknown>

/** A row of `lab.inbox.list`. */
export interface InboxRowJson {
  readonly id: string
  /** RFC 3339. */
  readonly receivedAt: string
  readonly host: string
  readonly reversePath: string
  readonly recipients: readonly string[]
  readonly subject: string
  readonly sizeBytes: number
  readonly isTls: boolean
}

/** What `lab.inbox.show` answers. */
export interface InboxMessageJson extends InboxRowJson {
  readonly tls: InboxEntry['tls']
  readonly client: InboxEntry['client']
  readonly mailParameters: InboxEntry['mailParameters']
  readonly recipientParameters: InboxEntry['recipients']
  readonly contentBase64: string
  /** False: the content is cut, since an answer has a bounded size. */
  readonly isWhole: boolean
}

/** A row of `lab.hosts`. */
export interface LabHostJson {
  readonly host: string
  readonly text: string
  readonly connections: number
  readonly messages: number
  readonly recipients: number
  readonly bytes: number
}

/** In base64 it still fits into a line of the control socket. */
const shownBytesMax = 8 * 1024 * 1024
const listMax = 1000

/** The commands of a lab. */
export function labCommands(lab: Lab): Readonly<Record<string, LabCommand>> {
  return {
    'lab.inbox.list': async given => listInbox(lab, given),
    'lab.inbox.show': async given => showMessage(lab, textOf(given, 'id')),
    'lab.inbox.clear': async () => ({ cleared: lab.inbox.clear() }),
    'lab.hosts': async () => listHosts(lab),
    'lab.behave': async given => await behave(lab, textOf(given, 'target'), textOf(given, 'as')),
  }
}

function listInbox(lab: Lab, { limit = 100 }: { readonly limit?: unknown }): InboxRowJson[] {
  if (typeof limit !== 'number' || !Number.isSafeInteger(limit) || limit < 1 || limit > listMax)
    throw new Error(`"limit" must be a whole number from 1 to ${listMax}`)
  return lab.inbox.list().slice(-limit).map(rowOf)
}

function rowOf(entry: InboxEntry): InboxRowJson {
  return {
    id: entry.id,
    receivedAt: new Date(entry.receivedAtMs).toISOString(),
    host: entry.host,
    reversePath: entry.reversePath,
    recipients: entry.recipients.map(({ forwardPath }) => forwardPath),
    subject: headerText(entry.content, 'subject'),
    sizeBytes: entry.content.length,
    isTls: entry.tls !== null,
  }
}

function showMessage(lab: Lab, id: string): InboxMessageJson {
  const entry = lab.inbox.get(/^\d+$/.test(id) ? `lab_${id}` : id)
  if (entry === undefined)
    throw new Error(
      `there is no message ${id} in the lab’s inbox; postrider lab inbox list shows what is there`,
    )
  return {
    ...rowOf(entry),
    tls: entry.tls,
    client: entry.client,
    mailParameters: entry.mailParameters,
    recipientParameters: entry.recipients,
    contentBase64: entry.content.subarray(0, shownBytesMax).toString('base64'),
    isWhole: entry.content.length <= shownBytesMax,
  }
}

function listHosts(lab: Lab): LabHostJson[] {
  return [...lab.counters()].map(([host, counters]) => ({
    host,
    text: labHosts.find(({ label }) => host === `${label}.${labHostZone}`)?.text ?? 'made at run time',
    ...counters,
  }))
}

async function behave(lab: Lab, target: string, name: string): Promise<{ target: string; as: string }> {
  const preset = labPresets.find(one => one.name === name)
  if (preset === undefined)
    throw new Error(
      `there is no behaviour "${name}"; there are ${labPresets.map(one => one.name).join(', ')}`,
    )
  await lab.setBehaviour(target, preset.behaviour)
  return { target, as: name }
}

function textOf(given: Readonly<Record<string, unknown>>, name: string): string {
  const value = given[name]
  if (typeof value !== 'string' || value === '') throw new Error(`"${name}" must be a text that is not empty`)
  return value
}
