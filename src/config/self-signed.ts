// Makes X.509 certificates (RFC 5280) with ECDSA P-256: self-signed ones for a first run, and those of a small CA.
//
// Place on the path: off it; used where [tls] is missing, and by the lab, which needs bad certificates too (expired,
// wrong name, unknown issuer). Invariant: nothing here decides whom to trust.

import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { isIP, isIPv6 } from 'node:net'
import {
  bitString,
  boolean,
  explicit,
  implicit,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  set,
  time,
  utf8String,
} from './der.ts'

/** A certificate with its key. */
export interface CertificatePair {
  readonly certificatePem: string
  /** PKCS #8. */
  readonly privateKeyPem: string
  readonly privateKey: KeyObject
  /** The common name: what certificates issued by this one name as issuer. */
  readonly commonName: string
}

export interface CertificateRequest {
  readonly commonName: string
  /** DNS names and IP addresses of the subject alternative name; may be empty for an authority. */
  readonly names: readonly string[]
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** Who signs; missing: the certificate signs itself. */
  readonly issuer?: CertificatePair
  /** May sign others. */
  readonly isAuthority?: boolean
  /** For the serial number. */
  readonly randomBytes: (sizeBytes: number) => Buffer
}

const oid = {
  commonName: '2.5.4.3',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
} as const

/** Makes a key and its certificate. Takes about a millisecond. */
export function makeCertificate(request: CertificateRequest): CertificatePair {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const signer = request.issuer?.privateKey ?? privateKey
  const algorithm = sequence(objectIdentifier(oid.ecdsaWithSha256))
  const serial = request.randomBytes(16)
  serial[0] = (serial[0]! & 0x7f) | 0x40
  const body = sequence(
    explicit(0, integer(Buffer.from([2]))),
    integer(serial),
    algorithm,
    distinguishedName(request.issuer?.commonName ?? request.commonName),
    sequence(time(request.notBeforeMs), time(request.notAfterMs)),
    distinguishedName(request.commonName),
    publicKey.export({ type: 'spki', format: 'der' }),
    explicit(3, sequence(...extensions(request, publicKey, createPublicKey(signer as never)))),
  )
  const signature = sign('sha256', body, { key: signer, dsaEncoding: 'der' })
  return {
    certificatePem: pem('CERTIFICATE', sequence(body, algorithm, bitString(signature))),
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    privateKey,
    commonName: request.commonName,
  }
}

function extensions(request: CertificateRequest, publicKey: KeyObject, signerKey: KeyObject): Buffer[] {
  const isAuthority = request.isAuthority ?? false
  const list = [
    extension(oid.basicConstraints, true, isAuthority ? sequence(boolean(true)) : sequence()),
    // keyCertSign and cRLSign, or digitalSignature: named bits, counted from the left (RFC 5280 §4.2.1.3).
    extension(
      oid.keyUsage,
      true,
      isAuthority ? bitString(Buffer.from([0x06]), 1) : bitString(Buffer.from([0x80]), 7),
    ),
    extension(oid.subjectKeyIdentifier, false, octetString(keyIdentifier(publicKey))),
    extension(oid.authorityKeyIdentifier, false, sequence(implicit(0, keyIdentifier(signerKey)))),
  ]
  if (!isAuthority)
    list.push(extension(oid.extendedKeyUsage, false, sequence(objectIdentifier(oid.serverAuth))))
  if (request.names.length > 0)
    list.push(extension(oid.subjectAltName, false, sequence(...request.names.map(alternativeName))))
  return list
}

function extension(identifier: string, isCritical: boolean, value: Buffer): Buffer {
  const parts = [objectIdentifier(identifier), octetString(value)]
  if (isCritical) parts.splice(1, 0, boolean(true))
  return sequence(...parts)
}

/** dNSName [2] or iPAddress [7] (RFC 5280 §4.2.1.6). */
function alternativeName(name: string): Buffer {
  if (isIP(name) === 0) return implicit(2, Buffer.from(name, 'latin1'))
  return implicit(7, isIPv6(name) ? ipv6Bytes(name) : Buffer.from(name.split('.').map(Number)))
}

function ipv6Bytes(address: string): Buffer {
  const [head = '', tail] = address.split('::')
  const groups = (text: string | undefined) =>
    text ? text.split(':').map(group => Number.parseInt(group, 16)) : []
  const left = groups(head)
  const right = groups(tail)
  const middle = tail === undefined ? [] : Array<number>(8 - left.length - right.length).fill(0)
  return Buffer.from([...left, ...middle, ...right].flatMap(group => [group >> 8, group & 0xff]))
}

function distinguishedName(commonName: string): Buffer {
  return sequence(set(sequence(objectIdentifier(oid.commonName), utf8String(commonName))))
}

/** SHA-1 of the public key's bits (RFC 5280 §4.2.1.2, method 1): a name for the key, not a protection. */
function keyIdentifier(publicKey: KeyObject): Buffer {
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  // An uncompressed P-256 point is the last 65 bytes.
  return createHash('sha1')
    .update(spki.subarray(spki.length - 65))
    .digest()
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
