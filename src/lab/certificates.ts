// The certificates of the lab's hosts: good ones from the lab's own authority, and the bad ones.
//
// Made when first needed, once a host and kind. The authority is new with every lab, so nothing outside trusts it.

import { randomBytes } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import { type CertificatePair, makeCertificate } from '../config/index.ts'
import type { LabTls } from './behaviour.ts'

const dayMs = 86_400_000

/** Makes and keeps the contexts. */
export class LabCertificates {
  readonly #nowMs: number
  readonly #authority: CertificatePair
  readonly #contexts = new Map<string, SecureContext>()

  /** @param nowMs middle of the good certificates' life */
  constructor(nowMs: number) {
    this.#nowMs = nowMs
    this.#authority = makeCertificate({
      commonName: 'Postrider lab authority',
      names: [],
      notBeforeMs: nowMs - dayMs,
      notAfterMs: nowMs + 3650 * dayMs,
      isAuthority: true,
      randomBytes,
    })
  }

  /** PEM of the authority, for clients that are to trust the good hosts. */
  get authorityPem(): string {
    return this.#authority.certificatePem
  }

  /** The context that a host of this name shows. */
  context(host: string, tls: Exclude<LabTls, 'none'>): SecureContext {
    const key = `${host} ${tls}`
    const known = this.#contexts.get(key)
    if (known !== undefined) return known
    const made = this.#make(host, tls)
    this.#contexts.set(key, made)
    return made
  }

  #make(host: string, tls: Exclude<LabTls, 'none'>): SecureContext {
    // Without a certificate no cipher suite fits, and the handshake fails on both sides.
    if (tls === 'broken') return createSecureContext({ minVersion: 'TLSv1.2' })
    const endMs = tls === 'expired' ? this.#nowMs - 30 * dayMs : this.#nowMs + 3650 * dayMs
    const { certificatePem, privateKeyPem } = makeCertificate({
      commonName: host,
      names: [tls === 'wrong-name' ? 'somewhere-else.example' : host],
      notBeforeMs: Math.min(this.#nowMs, endMs) - 60 * dayMs,
      notAfterMs: endMs,
      ...(tls === 'self-signed' ? {} : { issuer: this.#authority }),
      randomBytes,
    })
    return createSecureContext({ cert: certificatePem, key: privateKeyPem, minVersion: 'TLSv1.2' })
  }
}
