// A chain of certificates that costs whoever checks it as much as may be: RSA keys whose public exponent is as
// long as the modulus, which OpenSSL allows up to 3,072 bits. Nobody has signed anything in it; every
// signature is looked at all the same.

import { generateKeyPairSync, randomBytes } from 'node:crypto'
import {
  bitString,
  element,
  explicit,
  integer,
  objectIdentifier,
  sequence,
  set,
  time,
  utf8String,
} from '../../../src/config/der.ts'

const keyBytes = 3072 / 8
const dayMs = 86_400_000
const rsaEncryption = sequence(objectIdentifier('1.2.840.113549.1.1.1'), element(0x05))
const sha256WithRsa = sequence(objectIdentifier('1.2.840.113549.1.1.11'), element(0x05))

/** What a TLS server is told, as PEM; the chain itself has at most so many bytes. */
export function makeExpensiveChain(sizeBytesMax: number): { readonly key: string; readonly cert: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const chain = [certificate(0, publicKey.export({ type: 'spki', format: 'der' }))]
  let sizeBytes = chain[0]!.length
  for (;;) {
    const next = certificate(chain.length, expensiveKey())
    sizeBytes += next.length
    if (sizeBytes > sizeBytesMax) break
    chain.push(next)
  }
  return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, cert: chain.map(pem).join('') }
}

/** The issuer of each is the next one. */
function certificate(index: number, publicKey: Buffer): Buffer {
  const nowMs = Date.now()
  const body = sequence(
    explicit(0, integer(Buffer.from([2]))),
    integer(Buffer.from([1, index])),
    sha256WithRsa,
    name(index + 1),
    sequence(time(nowMs - dayMs), time(nowMs + dayMs)),
    name(index),
    publicKey,
  )
  return sequence(body, sha256WithRsa, bitString(oddNumber(0x3f)))
}

function expensiveKey(): Buffer {
  const numbers = sequence(integer(oddNumber(0xff)), integer(oddNumber(0x7f)))
  return sequence(rsaEncryption, bitString(numbers))
}

function oddNumber(firstByte: number): Buffer {
  const number = randomBytes(keyBytes)
  number[0] = firstByte
  number[keyBytes - 1]! |= 1
  return number
}

function name(index: number): Buffer {
  return sequence(set(sequence(objectIdentifier('2.5.4.3'), utf8String(`number ${index}`))))
}

function pem(der: Buffer): string {
  return `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`
}
