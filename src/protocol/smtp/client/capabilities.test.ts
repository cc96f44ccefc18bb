// The reading of EHLO replies.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { smtpReply } from '../reply.ts'
import { parseCapabilities } from './capabilities.ts'

test('the keywords of an EHLO reply are read in any case, with their parameters', () => {
  const text =
    'mx.test hello\nsize 35882577\nPipelining\n8BITMIME\nSMTPUTF8\nCHUNKING\nDSN\nENHANCEDSTATUSCODES\nSTARTTLS\nREQUIRETLS\nAUTH plain LOGIN\nAUTH=LOGIN XOAUTH2\nLIMITS MAILMAX=7 RCPTMAX=5 RCPTDOMAINMAX=1 NEW=x'
  assert.deepEqual(parseCapabilities(smtpReply(250, '', text)), {
    hasSize: true,
    sizeBytesMax: 35_882_577,
    hasPipelining: true,
    hasEightBitMime: true,
    hasSmtpUtf8: true,
    hasChunking: true,
    hasDsn: true,
    hasEnhancedStatusCodes: true,
    hasStartTls: true,
    hasRequireTls: true,
    authMechanisms: ['PLAIN', 'LOGIN', 'XOAUTH2'],
    rcptMax: 5,
    mailMax: 7,
    rcptDomainMax: 1,
  })
})

test('SIZE 0, SIZE without a number and odd numbers mean no limit', () => {
  for (const size of ['SIZE', 'SIZE 0', 'SIZE -1', 'SIZE 1e9', `SIZE ${'9'.repeat(30)}`]) {
    const capabilities = parseCapabilities(smtpReply(250, '', `x\n${size}`))
    assert.deepEqual([capabilities.hasSize, capabilities.sizeBytesMax], [true, null], size)
  }
})

test('the first line is the name of the peer, and unknown keywords are passed over', () => {
  const capabilities = parseCapabilities(smtpReply(250, '', 'PIPELINING\nconstructor\n__proto__ x\n\nXFOO'))
  assert.deepEqual(capabilities, parseCapabilities(null))
})
