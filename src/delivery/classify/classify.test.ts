import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { mailProviders } from '../resolve/index.ts'
import { classifyReply, parseReplyText, rules } from './index.ts'

for (const rule of rules) {
  test(`rule ${rule.id} wins its own samples`, () => {
    assert.ok(rule.samples.length > 0)
    for (const sample of rule.samples) {
      const reply = parseReplyText(sample)
      assert.ok(reply !== null, sample)
      const site = rule.when.site?.[0] ?? 'some-site'
      const stage = rule.when.stage?.[0] ?? 'rcpt'
      assert.equal(classifyReply({ ...reply, site, stage }).ruleId, rule.id, sample)
    }
  })
}

test('there are at least seventy rules, each with its own id', () => {
  assert.ok(rules.length >= 70)
  assert.equal(new Set(rules.map(rule => rule.id)).size, rules.length)
})

test('operators named in rules are those of the provider table', () => {
  const known = new Set(mailProviders.map(provider => provider.name))
  for (const rule of rules) for (const site of rule.when.site ?? []) assert.ok(known.has(site), rule.id)
})

test('one number means different things to different operators', () => {
  const text =
    'The user you are trying to contact is receiving mail at a rate that prevents additional messages'
  const disabled = 'The email account that you tried to reach is disabled'
  const reply = { code: 550, enhanced: '5.2.1', site: 'google', stage: 'rcpt' } as const
  assert.equal(classifyReply({ ...reply, text }).category, 'recipient-rate')
  assert.equal(classifyReply({ ...reply, text }).isTemporary, true)
  assert.equal(classifyReply({ ...reply, text: disabled }).category, 'mailbox-disabled')
})

test('without an operator no rule of an operator answers, and the common ones mean the same', () => {
  for (const rule of rules.filter(one => one.when.site !== undefined))
    for (const sample of rule.samples) {
      const reply = parseReplyText(sample)!
      const { ruleId } = classifyReply({ ...reply, site: '', stage: rule.when.stage?.[0] ?? 'rcpt' })
      assert.equal(rules.find(one => one.id === ruleId)?.when.site, undefined, sample)
    }
  const reply = parseReplyText('550 5.7.1 part of their network is on our block list (S3150)')!
  assert.equal(classifyReply({ ...reply, site: '', stage: 'mail' }).category, 'blocklisted')
  assert.equal(classifyReply({ ...reply, site: 'outlook-com', stage: 'mail' }).ruleId, 'outlook-blocklisted')
})

test('a reply before RCPT never speaks of a recipient, and one before MAIL not of the content', () => {
  for (const rule of rules)
    for (const sample of rule.samples)
      for (const site of ['', ...(rule.when.site ?? [])])
        for (const stage of ['greeting', 'ehlo', 'starttls', 'auth', 'mail'] as const) {
          const { scope, ruleId } = classifyReply({ ...parseReplyText(sample)!, site, stage })
          assert.notEqual(scope, 'recipient', `${ruleId} at ${stage}: ${sample}`)
          if (stage !== 'mail') assert.notEqual(scope, 'content', `${ruleId} at ${stage}: ${sample}`)
        }
})

test('a host that wants TLS, spoken to in clear text, means "later" with a 5xx, Google too', () => {
  const google = parseReplyText('550 5.7.29 This message was not sent over a TLS connection. - gsmtp')!
  const others = parseReplyText('530 5.7.0 Must issue a STARTTLS command first')!
  for (const means of [
    classifyReply({ ...google, site: 'google', stage: 'data' }),
    classifyReply({ ...others, site: '', stage: 'mail' }),
  ])
    assert.deepEqual([means.category, means.isTemporary], ['tls', true])
})

test('a message over the limit is too large, whatever else has limits', () => {
  for (const text of [
    "Your message exceeded Google's message size limits. Please visit the help page. - gsmtp",
    'Message exceeded maximum size limit',
  ])
    for (const site of ['google', '']) {
      const { category } = classifyReply({ code: 552, enhanced: '5.2.3', text, site, stage: 'data' })
      assert.equal(category, 'message-too-large', text)
    }
  const many = 'Your account has exceeded its hourly limit'
  const { category } = classifyReply({ code: 450, enhanced: '4.7.1', text: many, site: '', stage: 'rcpt' })
  assert.equal(category, 'rate-limited')
})

test('what SPF, DKIM and DMARC have against a sender is a matter of authentication', () => {
  const text = '<a@example.test>: Sender address rejected: SPF check failed'
  const { category } = classifyReply({ code: 550, enhanced: '5.7.1', text, site: '', stage: 'rcpt' })
  assert.equal(category, 'authentication')
})

test('only failures that speak of the recipient have the scope that may feed suppression', () => {
  const recipientCategories = new Set([
    'unknown-recipient',
    'mailbox-disabled',
    'mailbox-full',
    'recipient-rate',
    'recipient-policy',
  ])
  for (const rule of rules) {
    assert.equal(rule.scope === 'recipient', recipientCategories.has(rule.category), rule.id)
  }
})

test('any reply gets a classification, and a hostile text costs little time', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 200, max: 599 }),
      fc.string(),
      fc.string({ maxLength: 5000 }),
      (code, enhanced, text) => {
        assert.notEqual(classifyReply({ code, enhanced, text, site: '', stage: 'data' }).category, undefined)
      },
    ),
  )
  for (const piece of ['user ', 'mailbox a ', 'sender x domain y ', 'a', 'size ', 'account \t', 'exceeds ']) {
    const text = piece.repeat(100_000 / piece.length)
    const startedMs = performance.now()
    classifyReply({ code: 550, enhanced: '', text, site: '', stage: 'rcpt' })
    assert.ok(performance.now() - startedMs < 2000, piece)
  }
})

test('a line is read as a reply only when it begins with a code', () => {
  assert.deepEqual(parseReplyText('550 5.1.1 no'), { code: 550, enhanced: '5.1.1', text: 'no' })
  assert.deepEqual(parseReplyText('550-x'), { code: 550, enhanced: '', text: 'x' })
  assert.deepEqual(parseReplyText('421'), { code: 421, enhanced: '', text: '' })
  assert.equal(parseReplyText('hello'), null)
  assert.equal(parseReplyText('5501 no'), null)
})
