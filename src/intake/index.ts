// Intake: the doors and their rules. A message comes in here and leaves committed.
export { AddressGuard, type AddressLimits } from './address-guard.ts'
export { Authenticator } from './authenticate.ts'
export { DoorCounts } from './door-counts.ts'
export { allocateDoorMemory, type DoorMemory } from './door-memory.ts'
export { HeldContents } from './held.ts'
export { Listener, type ListenerOptions, type ListenerPorts, type Visit } from './listener.ts'
export { LoginFailures } from './login-failures.ts'
export { Places, type RunningSession } from './places.ts'
export type { DoorFacts, Principal } from './principal.ts'
export { type Refusal, type RefusalCode, refusalReply, refusals, refuse } from './refusal.ts'
export { type Door, type DoorObserver, type SessionPorts, SubmissionSession } from './session.ts'
export { type KeySource, SignatureMaker, SigningLine } from './signing/index.ts'
export type { Submission } from './submission.ts'
export {
  type ReadySink,
  type SubmissionEnvelope,
  type SubmissionOptions,
  type SubmissionPorts,
  type SubmissionResult,
  Submitter,
} from './submitter.ts'
