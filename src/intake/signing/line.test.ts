// The line to the signing thread, with the real thread behind it.

import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { type DkimKey, makeSignature, type SignatureJob } from '../../protocol/auth/dkim/index.ts'
import { SigningLine } from './line.ts'

const names = { domain: 'acme.example', selector: 'one' }
const rsa: DkimKey = {
  ...names,
  algorithm: 'rsa-sha256',
  privateKey: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
}
const ed25519: DkimKey = {
  ...names,
  algorithm: 'ed25519-sha256',
  privateKey: generateKeyPairSync('ed25519').privateKey,
}
/** A key that no signature can be made with. */
const unusable: DkimKey = { ...rsa, privateKey: createPublicKey(rsa.privateKey) }

function job(key: DkimKey, text: string): SignatureJob {
  return { key, unsigned: '', covered: Buffer.from(text) }
}

function unexpected(error: Error): void {
  throw error
}

test('many messages at once each get the signatures of their own bytes, in the order of their keys', async () => {
  await using line = new SigningLine(unexpected)
  const messages = Array.from({ length: 200 }, (_, index) => {
    const text = `${index} `.repeat(1 + (index % 300))
    return index % 3 === 0 ? [job(ed25519, text)] : [job(rsa, text), job(ed25519, text)]
  })
  const signed = await Promise.all(messages.map(line.sign))
  assert.deepEqual(
    signed,
    messages.map(jobs => jobs.map(makeSignature)),
  )
})

test('a signature that cannot be made fails its own message only', async () => {
  await using line = new SigningLine(unexpected)
  const results = await Promise.allSettled([
    line.sign([job(rsa, 'a'), job(ed25519, 'a')]),
    line.sign([job(unusable, 'b'), job(ed25519, 'b')]),
    line.sign([job(ed25519, 'c'), job(unusable, 'c')]),
    line.sign([job(rsa, 'd'), job(ed25519, 'd')]),
  ])
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected', 'fulfilled'],
  )
  const last = results[3] as PromiseFulfilledResult<readonly Buffer[]>
  assert.deepEqual(last.value, [makeSignature(job(rsa, 'd')), makeSignature(job(ed25519, 'd'))])
})

test('what waits when the line is closed, and what comes later, is refused', async () => {
  const line = new SigningLine(unexpected)
  const waiting = line.sign([job(rsa, 'a')])
  const refused = assert.rejects(waiting, /the relay is closing/)
  await line[Symbol.asyncDispose]()
  await refused
  await assert.rejects(line.sign([job(rsa, 'b')]), /the relay is closing/)
})

test('the end of the thread refuses what waits and is told once', async () => {
  const told: string[] = []
  const line = new SigningLine(
    error => told.push(error.message),
    () => new Worker('throw new Error("out of order")', { eval: true }),
  )
  await assert.rejects(line.sign([job(rsa, 'a')]), /out of order/)
  await assert.rejects(line.sign([job(rsa, 'b')]), /out of order/)
  await line[Symbol.asyncDispose]()
  assert.deepEqual(told, ['out of order'])
})
