/** The servers under measurement, in the order of the table: us, the peers, and the ceiling of the tools. */
import { ceiling } from './ceiling.ts'
import { haraka } from './haraka.ts'
import type { Peer } from './peer.ts'
import { postfix } from './postfix.ts'
import { postrider } from './postrider.ts'

export type { Peer, PeerStartOptions, RunningPeer } from './peer.ts'

export const peers: readonly Peer[] = [postrider, postfix, haraka, ceiling]
