// What a command changes while a session is open counts for its next message, whatever happened in between.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { MemoryAccounts } from '../accounts/memory-accounts.ts'
import { hashSecret } from '../accounts/secret.ts'
import { IdGenerator, systemClock } from '../base/index.ts'
import type { RefusedPart } from '../protocol/smtp/index.ts'
import { smtpReply } from '../protocol/smtp/index.ts'
import type { NewMessage } from '../queue/index.ts'
import { AddressGuard } from './address-guard.ts'
import { Authenticator } from './authenticate.ts'
import { DoorCounts } from './door-counts.ts'
import { allocateDoorMemory } from './door-memory.ts'
import { HeldContents } from './held.ts'
import { LoginFailures } from './login-failures.ts'
import { SubmissionSession } from './session.ts'
import { SignatureMaker } from './signing/index.ts'
import { type SubmissionPorts, Submitter } from './submitter.ts'

const from = { localPart: 'ann', domain: 'acme.example', isUtf8: false }
const to = { localPart: 'bob', domain: 'there.example', isUtf8: false }
const content = Buffer.from('From: Ann <ann@acme.example>\r\nSubject: Hi\r\n\r\nHello\r\n')

/** An account with one login and one domain. */
async function makeAccounts() {
  const accounts = new MemoryAccounts()
  const account = await accounts.createAccount(
    { id: 'acc_x', name: 'acme', createdAtMs: 0 },
    { id: 'str_x', name: 'default', kind: 'transactional', failureReport: 'event', priority: 5 },
  )
  assert.ok(account !== 'exists')
  const { key: accountKey } = account
  const stream = accounts.defaultStream(accountKey)!
  await accounts.createCredential({
    id: 'crd_x',
    accountKey,
    streamKey: stream.key,
    kind: 'smtp',
    username: 'acme-1',
    secretHash: hashSecret('right'),
    longLines: 'refuse',
    bareLf: 'refuse',
    createdAtMs: 0,
    revokedAtMs: null,
  })
  await accounts.createDomain(
    { id: 'dom_x', accountKey, name: 'acme.example', status: 'trusted', signs: false, createdAtMs: 0 },
    [],
  )
  return { accounts, stream }
}

function makeSubmitter(accounts: MemoryAccounts, store: SubmissionPorts['store']): Submitter {
  const unsigned = { keysFor: () => ({ kind: 'unsigned' }) as const }
  const spool = { push: () => assert.fail('the content is small') } as unknown as SubmissionPorts['spool']
  return new Submitter(
    {
      store,
      spool,
      accounts,
      signatures: new SignatureMaker(unsigned, [], systemClock, null),
      ready: { reserve: () => false, letGo: () => undefined, enqueue: () => undefined },
      held: new HeldContents(HeldContents.allocate(), 1024 * 1024),
      ids: new IdGenerator(() => systemClock.nowMs(), randomBytes),
      clock: systemClock,
    },
    {
      hostname: 'relay.example',
      headerBytesMax: 128 * 1024,
      headerFieldsMax: 1000,
      inlineBytesMax: 16 * 1024,
      receivedMax: 50,
      longLineBytesMax: 998,
      expireMs: 1_000_000,
    },
  )
}

/** A session that has logged in; `send` gives what came to the store. */
async function logIn() {
  const { accounts, stream } = await makeAccounts()
  const stored: NewMessage[] = []
  const submitter = makeSubmitter(accounts, {
    accept: async message => ({ kind: 'stored', key: stored.push(message) }),
  })
  const memory = allocateDoorMemory(randomBytes)
  const limits = {
    connectionsPerAddressMax: 50,
    connectionsPerMinuteMax: 60,
    freeAuthFailures: 3,
    authDelayMsMax: 0,
  }
  const failures = new LoginFailures(memory.failures)
  const guard = new AddressGuard(limits, new DoorCounts(memory.counts), failures, systemClock)
  const refusedOf: number[] = []
  const session = new SubmissionSession(
    {
      accounts,
      authenticator: new Authenticator(accounts, guard, async () => undefined),
      submitter,
      observer: {
        accepted: () => undefined,
        authenticated: () => undefined,
        refused: () => undefined,
        refusedByProtocol: (_reply, principal) => void refusedOf.push(principal.stream.priority),
      },
      visit: { admit: () => null, identified: () => undefined },
    },
    {
      kind: 'submission',
      isInNetworks: () => false,
      accountName: '',
      senders: 'own',
      longLines: 'refuse',
      bareLf: 'refuse',
      showsClientAddress: false,
    },
  )
  const facts = {
    clientAddress: '192.0.2.1',
    clientPort: 4711,
    helloName: 'client.example',
    isExtended: true,
  }
  session.open({ ...facts, tls: null, authenticatedAs: 'acme-1' })
  const credentials = {
    mechanism: 'PLAIN',
    authorizationId: '',
    username: 'acme-1',
    password: 'right',
  } as const
  assert.equal((await session.authenticate(credentials)).code, 235)
  const send = async (): Promise<NewMessage> => {
    assert.equal(session.mail(from, { body: '7bit', isSmtpUtf8: false }).code, 250)
    assert.equal(session.rcpt(to, {}).code, 250)
    const acceptance = session.content()
    assert.ok('sink' in acceptance)
    await acceptance.sink.write(content)
    const sizeBytes = content.length
    const facts = { sizeBytes, hasEightBit: false, longestLineBytes: 28, hasDotLine: false }
    const reply = await acceptance.sink.end(facts)
    assert.equal(reply.code, 250, reply.lines.join(' '))
    session.reset()
    return stored.at(-1)!
  }
  const change = (priority: number): Promise<boolean> => accounts.updateStream(stream.key, { priority })
  return { session, send, change, refusedOf }
}

test('a stream that is changed counts for the next message of an open session', async () => {
  const { send, change } = await logIn()
  assert.equal((await send()).priority, 5)
  await change(1)
  assert.equal((await send()).priority, 1)
})

for (const part of ['mail', 'rcpt', 'content'] as const satisfies RefusedPart[])
  test(`and also when the engine has refused something of its ${part} before that message`, async () => {
    const { session, send, change, refusedOf } = await logIn()
    assert.equal((await send()).priority, 5)
    await change(1)
    session.refused(part, smtpReply(501, '5.5.4', 'No'), 'FROM:<x')
    assert.deepEqual(refusedOf, [1])
    assert.equal((await send()).priority, 1)
  })
