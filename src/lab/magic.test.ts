import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { magicAddresses, recipientPlan, senderReply } from './magic.ts'

test('the example of every row is matched by that row and no other', () => {
  for (const { example, pattern } of magicAddresses) {
    const matching = magicAddresses.filter(row => row.pattern.test(example))
    assert.deepEqual(
      matching.map(row => row.pattern),
      [pattern],
      example,
    )
    assert.equal(recipientPlan(example).kind === 'accept', example === 'accept', example)
  }
})

test('capitals and tags do not change what an address means', () => {
  for (const { example } of magicAddresses) {
    if (example === 'accept' || example.includes('+')) continue
    assert.deepEqual(recipientPlan(example.toUpperCase()), recipientPlan(example))
    assert.deepEqual(recipientPlan(`${example}+a-tag`).kind, recipientPlan(example).kind, example)
  }
})

test('numbers, codes and texts are read from the address', () => {
  assert.deepEqual(recipientPlan('defer-12'), { ...recipientPlan('defer+12'), times: 12 })
  assert.deepEqual(recipientPlan('bounce-552-5.2.3+Far_too_big'), {
    kind: 'reply',
    at: 'rcpt',
    reply: { code: 552, enhanced: '5.2.3', lines: ['Far too big'] },
    times: null,
  })
  assert.deepEqual(recipientPlan('drop-eom-after-accept-3'), {
    kind: 'drop',
    at: 'eom-after-accept',
    times: 3,
  })
  assert.deepEqual(recipientPlan('slow-content-2'), { kind: 'slow', at: 'content', delayMs: 2000 })
  assert.equal(senderReply('mail-451')?.code, 451)
  assert.equal(senderReply('mail-45'), null)
})

test('an enhanced code of another class than its reply is no magic', () => {
  for (const local of [
    'bounce-250',
    'bounce-550-4.2.1',
    'bounce-450-5.2.1',
    'bounce-999',
    'drop-greeting',
    'defer-',
  ])
    assert.equal(recipientPlan(local).kind, 'accept', local)
})

test('whatever the local part, there is a plan, and ordinary ones are accepted', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), local => {
      recipientPlan(local)
      assert.equal(recipientPlan(`user.${local}`).kind, 'accept')
    }),
  )
})
