// A server's side of a connection that goes well up to some step and then badly: drips, floods or says nothing more.

import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { pour } from './siege.ts'

/** One connection of a hostile server. */
export class HostileDialogue {
  readonly socket: Socket
  #received = ''
  #wake: () => void = () => {}

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', chunk => {
      this.#received += String(chunk)
      this.#wake()
    })
    socket.on('close', () => this.#wake())
  }

  /** Waits for a line that begins like this. */
  async line(start: string): Promise<void> {
    for (;;) {
      const at = this.#received.indexOf('\r\n')
      if (at < 0) {
        if (this.socket.destroyed) throw new Error('gone')
        await new Promise<void>(resolve => {
          this.#wake = resolve
        })
        continue
      }
      const line = this.#received.slice(0, at)
      this.#received = this.#received.slice(at + 2)
      if (line.startsWith(start)) return
    }
  }

  say(text: string): void {
    if (!this.socket.destroyed) this.socket.write(text)
  }

  /** Greeting and EHLO. */
  async hello(keywords: string = '250-PIPELINING\r\n'): Promise<void> {
    this.say('220 hostile.example\r\n')
    await this.line('EHLO')
    this.say(`250-hostile.example\r\n${keywords}250 HELP\r\n`)
  }

  /** As far as the content. */
  async envelope(): Promise<void> {
    await this.hello()
    for (const [command, reply] of [
      ['MAIL', '250 ok'],
      ['RCPT', '250 ok'],
      ['DATA', '354 go'],
    ] as const) {
      await this.line(command)
      this.say(`${reply}\r\n`)
    }
  }

  /** A byte every 300 ms, for ever. */
  async drip(text: string): Promise<void> {
    for (let at = 0; !this.socket.destroyed; at++) {
      this.say(text[at % text.length]!)
      await sleep(300)
    }
  }

  /** The same text as fast as it is taken, for ever. */
  async flood(text: string): Promise<void> {
    await pour(this.socket, text, Number.POSITIVE_INFINITY)
  }

  async silence(): Promise<void> {
    await once(this.socket, 'close')
  }
}
