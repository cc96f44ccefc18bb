// What the policy says to clients, held against the pages that show it.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { MemoryAccounts } from '../accounts/memory-accounts.ts'
import { checkReversePath } from './policy.ts'
import { refusalReply } from './refusal.ts'

test('the refusal that the page on submission begins with reads as it does, command included', async () => {
  const accounts = new MemoryAccounts()
  const account = await accounts.createAccount(
    { id: 'acc_x', name: 'default', createdAtMs: 0 },
    { id: 'str_x', name: 'default', kind: 'transactional', failureReport: 'event', priority: 5 },
  )
  assert.ok(account !== 'exists')
  const stream = accounts.defaultStream(account.key)!
  const principal = {
    account,
    stream,
    username: '',
    senders: 'own',
    longLines: 'refuse',
    bareLf: 'refuse',
  } as const
  const refusal = checkReversePath(accounts, principal, {
    localPart: 'ann',
    domain: 'gmail.com',
    isUtf8: false,
  })
  assert.ok(refusal !== null)
  const { code, enhanced, lines } = refusalReply(refusal)
  const page = readFileSync(new URL('../../docs/concepts/submission.md', import.meta.url), 'utf8')
  assert.equal(/```\n(.*)\n```/.exec(page)?.[1], `${code} ${enhanced} ${lines.join(' ')}`)
})
