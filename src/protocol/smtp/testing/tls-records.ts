// TLS records of our own making on a connection that Node has shaken hands on: what no library sends, such
// as KeyUpdates (RFC 8446 §4.6.3), session tickets or requests to negotiate again by the thousand, each of
// which costs the other side work.
//
// From the secrets that Node logs the keys of our side are derived again, and every record after the
// handshake is sealed here. Whoever uses this writes nothing through the TLS socket itself. One suite for
// each version, chosen by us. For tests only.

import { createCipheriv, createHmac } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { Duplex } from 'node:stream'
import tls from 'node:tls'

const keyBytes = 16
/** OpenSSL's server begins with two session tickets. */
const ticketsSent = 2n
const recordTypes = { handshake: 22, applicationData: 23 } as const
export const handshakeTypes = { helloRequest: 0, clientHello: 1, sessionTicket: 4, keyUpdate: 24 } as const
type RecordType = keyof typeof recordTypes

/** Seals records of one side. */
export interface Sealer {
  seal(type: RecordType, content: Buffer): Buffer
}

/** A connection of which one side's records are made by us. What comes is not read until somebody listens. */
export interface RawTls {
  /** Below TLS: what is sealed is written here. */
  readonly socket: net.Socket
  readonly sealer: Tls12Sealer | Tls13Sealer
}

/** RFC 8446 §5.2, with TLS_AES_128_GCM_SHA256. */
export class Tls13Sealer implements Sealer {
  #secret: Buffer
  #key: Buffer
  #iv: Buffer
  #sequence: bigint

  /** @param sequence records that the library has sealed with these keys already */
  constructor(secret: Buffer, sequence: bigint) {
    this.#secret = secret
    this.#sequence = sequence
    this.#key = expand(secret, 'key', keyBytes)
    this.#iv = expand(secret, 'iv', 12)
  }

  seal(type: RecordType, content: Buffer): Buffer {
    const plain = Buffer.concat([content, Buffer.from([recordTypes[type]])])
    const header = Buffer.from([recordTypes.applicationData, 3, 3, 0, 0])
    header.writeUInt16BE(plain.length + 16, 3)
    const nonce = Buffer.from(this.#iv)
    nonce.writeBigUInt64BE(nonce.readBigUInt64BE(4) ^ this.#sequence++, 4)
    return Buffer.concat([header, encrypt(this.#key, nonce, header, plain)])
  }

  /** A KeyUpdate, and the next keys. `asks`: the other side must change its keys, too, and say so. */
  keyUpdate(asks: boolean): Buffer {
    const record = this.seal('handshake', message(handshakeTypes.keyUpdate, Buffer.from([asks ? 1 : 0])))
    this.#secret = expand(this.#secret, 'traffic upd', 32)
    this.#key = expand(this.#secret, 'key', keyBytes)
    this.#iv = expand(this.#secret, 'iv', 12)
    this.#sequence = 0n
    return record
  }
}

/** RFC 5288, with ECDHE-ECDSA-AES128-GCM-SHA256. */
export class Tls12Sealer implements Sealer {
  readonly #key: Buffer
  readonly #salt: Buffer
  /** Finished was the first record. */
  #sequence = 1n

  constructor(master: Buffer, clientRandom: Buffer, serverRandom: Buffer, side: 'client' | 'server') {
    const block = prf(master, 'key expansion', Buffer.concat([serverRandom, clientRandom]), 40)
    const at = side === 'client' ? 0 : 1
    this.#key = block.subarray(at * keyBytes, (at + 1) * keyBytes)
    this.#salt = block.subarray(32 + at * 4, 36 + at * 4)
  }

  seal(type: RecordType, content: Buffer): Buffer {
    const explicit = Buffer.alloc(8)
    explicit.writeBigUInt64BE(this.#sequence++)
    const header = Buffer.from([recordTypes[type], 3, 3, 0, 0])
    header.writeUInt16BE(content.length, 3)
    const nonce = Buffer.concat([this.#salt, explicit])
    const sealed = encrypt(this.#key, nonce, Buffer.concat([explicit, header]), content)
    header.writeUInt16BE(8 + sealed.length, 3)
    return Buffer.concat([header, explicit, sealed])
  }
}

/** A handshake message. */
export function message(type: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type, 0, body.length >> 8, body.length & 255]), body])
}

/** Connects, shakes hands, and reads the greeting. */
export async function connectRawTls(
  port: number,
  version: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3',
  localAddress: string = '127.0.0.1',
): Promise<RawTls> {
  const socket = net.connect({ port, host: '127.0.0.1', localAddress, noDelay: true })
  const tap = new Tap(socket)
  const secure = tls.connect({ socket: tap, rejectUnauthorized: false, ...suiteOf(version) })
  return await raw(socket, tap, secure, 'client')
}

/** Shakes hands as a server on an accepted connection. */
export async function acceptRawTls(
  socket: net.Socket,
  certificate: { readonly key: string; readonly cert: string },
  version: 'TLSv1.2' | 'TLSv1.3' = 'TLSv1.3',
): Promise<RawTls> {
  const tap = new Tap(socket)
  const { key, cert } = certificate
  const secureContext = tls.createSecureContext({ key, cert, ...suiteOf(version) })
  return await raw(socket, tap, new tls.TLSSocket(tap, { isServer: true, secureContext }), 'server')
}

function suiteOf(version: 'TLSv1.2' | 'TLSv1.3'): tls.SecureContextOptions {
  const ciphers = version === 'TLSv1.3' ? 'TLS_AES_128_GCM_SHA256' : 'ECDHE-ECDSA-AES128-GCM-SHA256'
  return { ciphers, minVersion: version, maxVersion: version }
}

async function raw(
  socket: net.Socket,
  tap: Tap,
  secure: tls.TLSSocket,
  side: 'client' | 'server',
): Promise<RawTls> {
  socket.on('error', () => undefined)
  secure.on('error', () => undefined)
  const { promise, resolve, reject } = Promise.withResolvers<Tls12Sealer | Tls13Sealer>()
  // The greeting shows the client that the server has its last word of the handshake.
  const isReady = once(secure, side === 'client' ? 'data' : 'secure')
  secure.on('keylog', (line: Buffer) => {
    const [label, random = '', secret = ''] = line.toString('latin1').trim().split(' ')
    const bytes = Buffer.from(secret, 'hex')
    if (label === `${side.toUpperCase()}_TRAFFIC_SECRET_0`)
      resolve(new Tls13Sealer(bytes, side === 'server' ? ticketsSent : 0n))
    if (label !== 'CLIENT_RANDOM') return
    const serverRandom = (side === 'client' ? tap.firstRead : tap.firstWritten).subarray(11, 43)
    resolve(new Tls12Sealer(bytes, Buffer.from(random, 'hex'), serverRandom, side))
  })
  secure.once('close', () => reject(new Error('closed during the handshake')))
  const sealer = await promise
  await isReady
  tap.leave()
  return { socket, sealer }
}

/** A socket whose first bytes in both directions are kept. */
class Tap extends Duplex {
  readonly #socket: net.Socket
  /** Each has the beginning of a ServerHello, depending on the side. */
  firstRead: Buffer = Buffer.alloc(0)
  firstWritten: Buffer = Buffer.alloc(0)

  constructor(socket: net.Socket) {
    super()
    this.#socket = socket
    socket.on('data', chunk => {
      if (this.firstRead.length === 0) this.firstRead = Buffer.from(chunk)
      if (!this.push(chunk)) socket.pause()
    })
    socket.on('end', () => this.push(null))
    socket.on('close', () => this.destroy())
  }

  /** Node's TLS hears nothing more. */
  leave(): void {
    for (const event of ['data', 'end', 'close']) this.#socket.removeAllListeners(event)
    this.#socket.pause()
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    if (this.firstWritten.length === 0) this.firstWritten = Buffer.from(chunk)
    this.#socket.write(chunk, () => done())
  }

  override _final(done: () => void): void {
    this.#socket.end()
    done()
  }

  override _destroy(_error: Error | null, done: () => void): void {
    this.#socket.destroy()
    done()
  }
}

function encrypt(key: Buffer, nonce: Buffer, aad: Buffer, plain: Buffer): Buffer {
  const cipher = createCipheriv('aes-128-gcm', key, nonce)
  cipher.setAAD(aad)
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

const hmac = (secret: Buffer, text: Buffer): Buffer => createHmac('sha256', secret).update(text).digest()

/** HKDF-Expand-Label (RFC 8446 §7.1) with an empty context, for one block of output at most. */
function expand(secret: Buffer, label: string, length: number): Buffer {
  const name = Buffer.from(`tls13 ${label}`, 'latin1')
  const info = Buffer.concat([Buffer.from([0, length, name.length]), name, Buffer.from([0, 1])])
  return hmac(secret, info).subarray(0, length)
}

/** P_SHA256 (RFC 5246 §5). */
function prf(secret: Buffer, label: string, seed: Buffer, length: number): Buffer {
  const start = Buffer.concat([Buffer.from(label, 'latin1'), seed])
  let output = Buffer.alloc(0)
  for (let a = hmac(secret, start); output.length < length; a = hmac(secret, a))
    output = Buffer.concat([output, hmac(secret, Buffer.concat([a, start]))])
  return output.subarray(0, length)
}
