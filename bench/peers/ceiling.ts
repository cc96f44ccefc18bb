/**
 * The ceiling: smtp-source straight into smtp-sink. No queue, no disk, no second hop; what the load tools
 * themselves can do on this machine while nobody else works.
 */
import { isListening } from '../../test/support/peers/index.ts'
import type { Peer } from './peer.ts'

export const ceiling: Peer = {
  name: 'ceiling',
  title: () => 'smtp-source into smtp-sink',
  signs: [],
  isSecurable: true,
  prepare: async () => undefined,
  start: async ({ sinkPort }) => {
    if (!(await isListening('127.0.0.1', sinkPort))) throw new Error('the sink does not listen')
    return { smtpPort: sinkPort, login: null, pids: () => [], stop: async () => {} }
  },
  version: async () => 'smtp-source and smtp-sink of the same Postfix package',
}
