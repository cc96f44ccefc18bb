// The certificate, key and authorities that TLS uses: read, checked, and read again on SIGHUP.
//
// Place on the path: before it; `app` posts the material to each relay thread, which makes its secure context of it.
// Invariants: certificate and key belong together, and OpenSSL makes a context of them. What cannot be used is a
// problem, and whoever has older material keeps it in force (app/reload.ts).

import { constants, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSecureContext, rootCertificates, type SecureContextOptions } from 'node:tls'
import { isHostName, makeFolderDurably, writeFileDurably } from '../base/index.ts'
import type { Problem } from './problem.ts'
import { makeCertificate } from './self-signed.ts'
import type { TlsConfig } from './types.ts'

/** Plain data, so that it can be posted to a thread. */
export interface TlsMaterial {
  /** Certificate and intermediates. */
  readonly certificatePem: string
  readonly keyPem: string
  /** Further authorities, '' when none are named. */
  readonly caPem: string
  readonly ciphers: TlsConfig['ciphers']
  /** Made by us, for want of [tls]. */
  readonly isSelfSigned: boolean
  /** When the certificate ends. */
  readonly notAfterMs: number
}

export type TlsMaterialResult =
  | { readonly ok: true; readonly material: TlsMaterial; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problem: Problem }

/** What {@link loadTlsMaterial} needs. */
export interface TlsRequest {
  /** null: use or make the self-signed certificate in `dataDir`/tls. */
  readonly tls: TlsConfig | null
  readonly dataDir: string
  readonly hostname: string
  readonly nowMs: number
  readonly randomBytes: (sizeBytes: number) => Buffer
}

const dayMs = 86_400_000

/**
 * Reads and checks the files of [tls], or the self-signed pair (which it makes when
 * missing, expired or of another name).
 */
export function loadTlsMaterial(request: TlsRequest): TlsMaterialResult {
  return request.tls === null ? selfSignedMaterial(request) : materialOfFiles(request.tls, request)
}

/** Forward secrecy and authenticated encryption; of TLS 1.3, in the order of speed. */
const modernCiphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE+AESGCM',
  'ECDHE+CHACHA20',
]
/** Behind them, for old devices: CBC with forward secrecy, then RSA key exchange. */
const olderCiphers = ['ECDHE+AES', 'RSA+AESGCM', 'RSA+AES', '!aNULL', '!PSK', '!AESCCM']

/**
 * Options of a server's secure context. The versions before TLS 1.2 are off (RFC 8996), and so is renegotiation, which
 * only costs (RFC 9325 §3.5).
 */
export function serverTlsOptions(material: TlsMaterial): SecureContextOptions {
  const ciphers = material.ciphers === 'modern' ? modernCiphers : [...modernCiphers, ...olderCiphers]
  const options: SecureContextOptions = {
    cert: material.certificatePem,
    key: material.keyPem,
    minVersion: 'TLSv1.2',
    ciphers: ciphers.join(':'),
    honorCipherOrder: true,
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  }
  return material.caPem === '' ? options : { ...options, ca: material.caPem }
}

/** The authorities to trust as a client: those of Node and those of [tls] ca. */
export function trustedAuthorities(material: TlsMaterial): string[] {
  return material.caPem === '' ? [...rootCertificates] : [...rootCertificates, material.caPem]
}

function materialOfFiles(tls: TlsConfig, request: TlsRequest): TlsMaterialResult {
  const paths = { certificate: tls.certificatePath, key: tls.keyPath, ca: tls.caPath }
  const texts = { certificate: '', key: '', ca: '' }
  for (const name of ['certificate', 'key', 'ca'] as const) {
    const path = paths[name]
    if (path === null) continue
    try {
      texts[name] = readFileSync(path, 'utf8')
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const hint = 'check the path, and that the user of the service may read it'
      return fault(`[tls] ${name}`, `${path} cannot be read (${code ?? 'unknown error'})`, hint)
    }
  }
  const certificates = readCertificates(texts.certificate)
  const first = certificates[0]
  if (first === undefined)
    return fault(
      '[tls] certificate',
      `${paths.certificate} holds no PEM certificate`,
      'it must have a BEGIN CERTIFICATE line',
    )
  const key = readKey(texts.key)
  if (key === null)
    return fault(
      '[tls] key',
      `${paths.key} holds no PEM private key without a passphrase`,
      'remove the passphrase with openssl pkey',
    )
  if (!first.checkPrivateKey(key))
    return fault(
      '[tls] key',
      `${paths.key} is not the key of ${paths.certificate}`,
      'the first certificate in the file must be the server’s own',
    )
  if (paths.ca !== null && readCertificates(texts.ca).length === 0)
    return fault('[tls] ca', `${paths.ca} holds no PEM certificate`, 'it must have a BEGIN CERTIFICATE line')
  const material: TlsMaterial = {
    certificatePem: texts.certificate,
    keyPem: texts.key,
    caPem: texts.ca,
    ciphers: tls.ciphers,
    isSelfSigned: false,
    notAfterMs: first.validToDate.getTime(),
  }
  return (
    refusedMaterial(material, paths) ?? { ok: true, material, warnings: certificateWarnings(first, request) }
  )
}

/** What OpenSSL says against it: weak keys and digests pass every check of ours. null: a context can be made. */
function refusedMaterial(
  material: TlsMaterial,
  paths: { readonly certificate: string; readonly ca: string | null },
): TlsMaterialResult | null {
  const pair = whyNoContext({ ...material, caPem: '' })
  if (pair !== null)
    return fault(
      '[tls] certificate',
      `${paths.certificate} and its key cannot be used (${pair})`,
      'get a certificate with an RSA key of at least 2048 bits or an elliptic curve key, signed with SHA-256',
    )
  const authorities = whyNoContext(material)
  return authorities === null
    ? null
    : fault(
        '[tls] ca',
        `${paths.ca} cannot be used (${authorities})`,
        'remove what is no certificate from it',
      )
}

function whyNoContext(material: TlsMaterial): string | null {
  try {
    createSecureContext(serverTlsOptions(material))
    return null
  } catch (error) {
    const { reason, message } = error as Error & { readonly reason?: string }
    return reason ?? message
  }
}

/** What does not stop us, but clients will notice. */
function certificateWarnings(certificate: X509Certificate, request: TlsRequest): Problem[] {
  const warnings: Problem[] = []
  const where = '[tls] certificate'
  const endMs = certificate.validToDate.getTime()
  if (endMs <= request.nowMs)
    warnings.push({
      where,
      what: `the certificate ended on ${isoDay(endMs)}`,
      hint: 'renew it and send SIGHUP',
    })
  else if (endMs - request.nowMs < 14 * dayMs)
    warnings.push({
      where,
      what: `the certificate ends on ${isoDay(endMs)}`,
      hint: 'renew it and send SIGHUP',
    })
  if (certificate.validFromDate.getTime() > request.nowMs)
    warnings.push({
      where,
      what: 'the certificate is not valid yet',
      hint: 'check the clock of this machine',
    })
  if (isHostName(request.hostname) && certificate.checkHost(request.hostname) === undefined)
    warnings.push({
      where,
      what: `the certificate does not name ${request.hostname}`,
      hint: 'clients that check names will refuse it: set hostname, or get another certificate',
    })
  return warnings
}

/** The self-signed pair that is there, while it can be used; makes none. */
export function storedSelfSigned(request: TlsRequest): TlsMaterialResult | null {
  const stored = readStored(selfSignedFolder(request), request)
  return stored === null ? null : { ok: true, material: stored, warnings: [selfSignedWarning(request)] }
}

function selfSignedFolder({ dataDir }: TlsRequest): string {
  return join(dataDir, 'tls')
}

function selfSignedWarning({ hostname }: TlsRequest): Problem {
  return {
    where: '[tls]',
    what: `no certificate is configured: a self-signed one for ${hostname} is used`,
    hint: 'clients that check certificates will refuse it: set [tls] certificate and key',
  }
}

function selfSignedMaterial(request: TlsRequest): TlsMaterialResult {
  const stored = storedSelfSigned(request)
  if (stored !== null) return stored
  const folder = selfSignedFolder(request)
  // Certificates count in whole seconds.
  const notAfterMs = Math.floor(request.nowMs / 1000) * 1000 + 825 * dayMs
  const pair = makeCertificate({
    commonName: request.hostname,
    names:
      request.hostname === 'localhost'
        ? ['localhost', '127.0.0.1', '::1']
        : [request.hostname, 'localhost', '127.0.0.1'],
    notBeforeMs: request.nowMs - dayMs,
    notAfterMs,
    randomBytes: request.randomBytes,
  })
  try {
    makeFolderDurably(folder)
    // The key first: a certificate without its key would be refused at the next start.
    writeFileDurably(join(folder, 'key.pem'), pair.privateKeyPem, 0o600)
    writeFileDurably(join(folder, 'certificate.pem'), pair.certificatePem, 0o644)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return fault(
      '[tls]',
      `the self-signed certificate cannot be written to ${folder} (${code ?? 'unknown error'})`,
      'make data_dir writable for the user of the service',
    )
  }
  const material = selfSigned(pair.certificatePem, pair.privateKeyPem, notAfterMs)
  return { ok: true, material, warnings: [selfSignedWarning(request)] }
}

/** The stored pair while it is whole, of this hostname, and good for another month. */
function readStored(folder: string, request: TlsRequest): TlsMaterial | null {
  try {
    const certificatePem = readFileSync(join(folder, 'certificate.pem'), 'utf8')
    const keyPem = readFileSync(join(folder, 'key.pem'), 'utf8')
    const certificate = new X509Certificate(certificatePem)
    const key = readKey(keyPem)
    const endMs = certificate.validToDate.getTime()
    const material = selfSigned(certificatePem, keyPem, endMs)
    const isGood =
      key !== null &&
      certificate.checkPrivateKey(key) &&
      certificate.subject === `CN=${request.hostname}` &&
      endMs > request.nowMs + 30 * dayMs &&
      whyNoContext(material) === null
    return isGood ? material : null
  } catch {
    // Missing or broken: a new pair takes its place.
    return null
  }
}

function selfSigned(certificatePem: string, keyPem: string, notAfterMs: number): TlsMaterial {
  return { certificatePem, keyPem, caPem: '', ciphers: 'modern', isSelfSigned: true, notAfterMs }
}

function readCertificates(pem: string): X509Certificate[] {
  try {
    const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
    return blocks.map(block => new X509Certificate(block))
  } catch {
    return []
  }
}

function readKey(pem: string): KeyObject | null {
  try {
    return createPrivateKey(pem)
  } catch {
    return null
  }
}

function isoDay(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10)
}

function fault(where: string, what: string, hint: string): TlsMaterialResult {
  return { ok: false, problem: { where, what, hint } }
}
