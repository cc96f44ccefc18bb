// Entry of the signing thread: makes signatures while the relay thread goes on. It keeps nothing between two packets.
//
// Counterpart: line.ts. A signature that cannot be made is an answer, not a fault of the thread.

import { type MessagePort, parentPort } from 'node:worker_threads'
import { signPacket } from './codec.ts'

if (parentPort !== null) serve(parentPort)

function serve(port: MessagePort): void {
  port.on('message', packet => {
    const answers = signPacket(packet)
    port.postMessage(answers, [answers])
  })
}
